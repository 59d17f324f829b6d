/**
 * What a command is: a name, the state it wants (RFC 3501 6), rules, a parser for its arguments and what
 * it does. `define` ties the types together, so that a command for selected mailboxes gets one.
 */

import { MailError } from "../errors.ts";
import type { Output } from "../wire/output.ts";
import type { Reply } from "./formatter.ts";
import type { Authenticated, NotAuthenticated, Selected, Session, SessionState } from "./state.ts";
import { type Cursor, expectEnd, ParseError } from "./tokens.ts";

/** The session has to end, with these words. */
export class Farewell extends MailError {
  constructor(text: string) {
    super(undefined, text);
  }
}

export type LineOrWake = { readonly kind: "line"; readonly text: string } | { readonly kind: "woken" };

/** The way between a command and its client. */
export interface CommandIo {
  readonly output: Output;
  /** The next line of a SASL dialogue; undefined when the client is gone or the session has to end. */
  readonly readLine: () => Promise<string | undefined>;
  /** The same, but the session's `wake` ends the wait too; undefined as above, or after `timeLeftMs`. */
  readonly readLineOrWake: (timeLeftMs: () => number) => Promise<LineOrWake | undefined>;
  /** Aborted when the connection is lost. */
  readonly signal: AbortSignal;
}

interface StateIn {
  readonly any: SessionState;
  readonly "not-authenticated": NotAuthenticated;
  /** A mailbox may be selected. */
  readonly authenticated: Authenticated | Selected;
  readonly selected: Selected;
}

/** For a command that is running. */
export interface CommandContext extends CommandIo {
  readonly tag: string;
}

export interface Call<State, Args> extends CommandContext {
  readonly session: Session;
  readonly state: State;
  readonly args: Args;
}

export interface CommandRules {
  /** FETCH, STORE and SEARCH: EXPUNGE must not be sent while they run (RFC 3501 7.4.1). */
  readonly usesSequenceNumbers?: boolean;
  /** A NO is taken for an empty message: rather BYE. */
  readonly endsSessionWhenUnavailable?: boolean;
}

export interface Command extends CommandRules {
  readonly name: string;
  /** Reads the arguments up to the end of the command. Throws ParseError, and nothing else whatever the input. */
  readonly parse: (cursor: Cursor) => unknown;
  /** Checks the state, reads the arguments and runs. Throws ParseError, MailError. */
  readonly start: (session: Session, cursor: Cursor, io: CommandContext) => Promise<Reply>;
}

export interface Definition<In extends keyof StateIn, Args> extends CommandRules {
  readonly name: string;
  readonly state: In;
  /** Reads what follows the name, leading space included; the end of the command is checked behind it. */
  readonly parse: (cursor: Cursor) => Args;
  readonly run: (call: Call<StateIn[In], Args>) => Reply | Promise<Reply>;
}

export function define<In extends keyof StateIn, Args>(definition: Definition<In, Args>): Command {
  const { state: wanted, run, ...rest } = definition;
  const parse = (cursor: Cursor): Args => {
    const args = definition.parse(cursor);
    expectEnd(cursor);
    return args;
  };
  return {
    ...rest,
    parse,
    start: async (session, cursor, io) => {
      const { state } = session;
      if (!isIn(state, wanted)) throw new ParseError(complaints[wanted]);
      const args = parse(cursor);
      return run({ ...io, session, state, args });
    },
  };
}

/** For commands without arguments. */
export const nothing = (): undefined => undefined;

const complaints: Record<keyof StateIn, string> = {
  any: "Not now",
  "not-authenticated": "Already logged in",
  authenticated: "Please log in first",
  selected: "No mailbox selected",
};

function isIn<In extends keyof StateIn>(
  state: SessionState,
  wanted: In,
): state is StateIn[In] & SessionState {
  if (wanted === "any") return true;
  return state.kind === wanted || (wanted === "authenticated" && state.kind === "selected");
}
