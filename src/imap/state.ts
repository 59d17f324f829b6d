/**
 * What a session is at each moment (RFC 3501 3): a union that carries its data, so that a selected
 * mailbox can only be read where one is selected. Leaving a state gives back what it held.
 */
import type { AccountHandle, IncomingMessage, Login, OpenMailbox, Peer } from "../account/account.ts";
import type { Uid } from "../mail/ids.ts";
import type { SessionOptions as MailSessionOptions } from "../wire/mail-server.ts";
import type { Enabled } from "./condstore.ts";
import type { PartTrees } from "./part-trees.ts";
import type { View } from "./view.ts";

export interface NotAuthenticated {
  readonly kind: "not-authenticated";
  readonly failures: number;
}

export interface Authenticated {
  readonly kind: "authenticated";
  readonly account: AccountHandle;
}

/** SELECT was answered by what the old server tells first: the mailbox is on its way, and awaited by the next command. */
export interface Opening {
  readonly kind: "opening";
  readonly account: AccountHandle;
  readonly selected: Promise<Selected>;
}

export interface Selected {
  readonly kind: "selected";
  readonly account: AccountHandle;
  readonly mailbox: OpenMailbox;
  readonly view: View;
  /** EXAMINE, or the mailbox takes no changes. */
  readonly readOnly: boolean;
  readonly trees: PartTrees;
  /** `$`: what the last search that was to be saved has found (RFC 5182), ascending. */
  readonly saved: { uids: readonly Uid[] };
  /** What the client was told last. */
  readonly told: { flags: readonly string[] };
  /** The session's own. */
  readonly enabled: Enabled;
}

export interface Logout {
  readonly kind: "logout";
}

export type SessionState = NotAuthenticated | Authenticated | Opening | Selected | Logout;

/** The message of the APPEND that is being read. */
export type Upload =
  | { readonly kind: "receiving"; readonly incoming: IncomingMessage }
  | { readonly kind: "refused"; readonly error: unknown };

export type SessionOptions = MailSessionOptions<Login>;

export interface Session {
  readonly id: string;
  readonly options: SessionOptions;
  state: SessionState;
  /** `peer.secure` tells whether TLS is active now. */
  peer: Peer;
  /** STARTTLS is offered on this connection. */
  readonly startTls: boolean;
  readonly enabled: Enabled;
  upload: Upload | undefined;
  /** Bad commands since the last good one. */
  badCommands: number;
  /** Called when there is news for the client: a command that waits for it (IDLE) sets it. */
  onNews: (() => void) | undefined;
  /** To be called when the session has to end though no command is running (see `farewellOf`). */
  wake: () => void;
}

/** Why the session cannot go on, if so: its mailbox is gone, or its account was closed. */
export function farewellOf({ state }: Session): string | undefined {
  if (state.kind === "selected") return state.view.gone ?? state.account.ended();
  return "account" in state ? state.account.ended() : undefined;
}

/** The state after leaving the selected mailbox, if one is. */
export function deselect(state: Authenticated | Selected): Authenticated {
  if (state.kind === "selected") state.mailbox.close();
  return { kind: "authenticated", account: state.account };
}

/** Forgets a message that was sent and goes nowhere. */
export function discardUpload(session: Session): void {
  if (session.upload?.kind === "receiving") session.upload.incoming.discard();
  session.upload = undefined;
}

/** Gives back whatever the session holds; idempotent. */
export function closeSession(session: Session): void {
  const { state } = session;
  discardUpload(session);
  session.state = { kind: "logout" };
  if (state.kind === "selected") state.mailbox.close();
  if (state.kind === "opening")
    state.selected.then(
      ({ mailbox }) => mailbox.close(),
      () => undefined,
    );
  if ("account" in state) state.account.release();
}
