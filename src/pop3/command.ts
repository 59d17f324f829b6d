/** What a POP3 command is: a name, the state it wants, and what it does with its arguments. */
import { MailError } from "../errors.ts";
import type { Output } from "../wire/output.ts";
import type { Authorization, Session, SessionState, Transaction } from "./state.ts";

export interface Reply {
  readonly ok: boolean;
  /** RFC 2449 8, RFC 3206. */
  readonly code?: "IN-USE" | "LOGIN-DELAY" | "AUTH" | "SYS/TEMP" | "SYS/PERM" | undefined;
  readonly text: string;
  /** What the connection does next. */
  readonly next?: "tls" | "close" | undefined;
  /** All was written already. */
  readonly isWritten?: boolean;
}

/** Not understood: counted, since who sends many is no mail client. */
export class BadCommand extends Error {
  override readonly name = "BadCommand";
}

/** An answer broke off in the middle: whatever is written now is taken for mail. */
export class BrokenAnswer extends MailError {
  constructor(cause: unknown) {
    super("UNAVAILABLE", "A message could not be sent to its end", cause);
  }
}

export interface CommandIo {
  readonly output: Output;
  /** The next line of a SASL dialogue; undefined when the client is gone. */
  readonly readLine: () => Promise<string | undefined>;
  /** Aborted when the connection is lost. */
  readonly signal: AbortSignal;
}

interface StateIn {
  readonly any: SessionState;
  readonly authorization: Authorization;
  readonly transaction: Transaction;
}

export interface Call<State> extends CommandIo {
  readonly session: Session;
  readonly state: State;
  /** What stands behind the name, without the space. */
  readonly argument: string;
}

export interface Command {
  readonly name: string;
  readonly start: (session: Session, argument: string, io: CommandIo) => Promise<Reply>;
}

export function define<In extends keyof StateIn>(definition: {
  readonly name: string;
  readonly state: In;
  readonly run: (call: Call<StateIn[In]>) => Reply | Promise<Reply>;
}): Command {
  const { name, state: wanted, run } = definition;
  return {
    name,
    start: async (session, argument, io) => {
      const { state } = session;
      if (!isIn(state, wanted)) throw new BadCommand("Not now");
      return run({ ...io, session, state, argument });
    },
  };
}

export const ok = (text: string): Reply => ({ ok: true, text });

function isIn<In extends keyof StateIn>(
  state: SessionState,
  wanted: In,
): state is StateIn[In] & SessionState {
  return wanted === "any" || state.kind === wanted;
}

export function noArgument({ argument }: Pick<Call<unknown>, "argument">): void {
  if (argument !== "") throw new BadCommand("Unexpected argument");
}

/** Line ends would begin another answer. */
export function formatReply({ ok: isOk, code, text }: Reply): string {
  const shown = text.replace(/[\r\n\0]/g, " ");
  return `${isOk ? "+OK" : "-ERR"}${code ? ` [${code}]` : ""}${shown === "" ? "" : ` ${shown}`}\r\n`;
}
