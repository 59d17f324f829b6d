/** What a POP3 session is at each moment (RFC 1939 3): a union that carries its data. */
import type { AccountHandle, Login, Peer } from "../account/account.ts";
import type { Maildrop } from "../account/maildrop.ts";
import type { SessionOptions as MailSessionOptions } from "../wire/mail-server.ts";

export interface Authorization {
  readonly kind: "authorization";
  /** Of USER, whose PASS is to come. */
  readonly user: string | undefined;
  readonly failures: number;
}

export interface Transaction {
  readonly kind: "transaction";
  readonly account: AccountHandle;
  readonly maildrop: Maildrop;
  /** Numbers, from 1; both change in place, since a client may mark tens of thousands one by one. */
  readonly deleted: Set<number>;
  readonly retrieved: Set<number>;
}

export interface Ended {
  readonly kind: "ended";
}

export type SessionState = Authorization | Transaction | Ended;

export type SessionOptions = MailSessionOptions<Login>;

export interface Session {
  readonly id: string;
  readonly options: SessionOptions;
  state: SessionState;
  /** `peer.secure` tells whether TLS is active now. */
  peer: Peer;
  /** STLS is offered on this connection. */
  readonly startTls: boolean;
  /** Bad commands since the last good one. */
  badCommands: number;
}

/** Gives back what the session holds: nothing is deleted by that (RFC 1939 6). Idempotent. */
export function closeSession(session: Session): void {
  const { state } = session;
  session.state = { kind: "ended" };
  if (state.kind !== "transaction") return;
  state.maildrop.close();
  state.account.release();
}
