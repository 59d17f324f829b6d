/**
 * What a client has switched on by asking for it (RFC 7162 3.1): from then on flags come with their MODSEQ,
 * and with QRESYNC expunges as VANISHED.
 */
import type { ModSeq, Uid } from "../mail/ids.ts";
import { asTold, noModSeq, parseModSeq } from "../mail/mod-seq.ts";
import type { Output } from "../wire/output.ts";
import { untagged } from "./formatter.ts";
import type { Selected, Session } from "./state.ts";
import { type Cursor, digits, ParseError } from "./tokens.ts";

export interface Enabled {
  condstore: boolean;
  /** Never without `condstore`. */
  qresync: boolean;
}

/** Called by every command that a client without CONDSTORE does not send (RFC 7162 3.1). */
export async function enableCondstore(
  session: Pick<Session, "enabled" | "state">,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { enabled, state } = session;
  if (enabled.condstore) return;
  enabled.condstore = true;
  if (state.kind !== "selected") return;
  const { mailbox } = state;
  if (mailbox.highestModSeq === undefined) await mailbox.poll(signal, { modSeqs: true });
  output.write(describeHighest(mailbox.highestModSeq));
}

export function describeHighest(highest: ModSeq | undefined): string {
  return untagged(
    highest === undefined ? "OK [NOMODSEQ] No mod-sequences now" : `OK [HIGHESTMODSEQ ${highest}] Highest`,
  );
}

/** `(n)`, as MODSEQ of a message; undefined when it was expunged meanwhile. */
export function formatModSeq({ mailbox }: Pick<Selected, "mailbox">, uid: Uid): string | undefined {
  const modSeq = mailbox.modSeqOf(uid);
  return modSeq === undefined ? undefined : `(${asTold(modSeq)})`;
}

/** MODSEQ of a message that the client is told of, 0 where it is gone or only its UID is known. */
export function modSeqOf({ mailbox }: Pick<Selected, "mailbox">, uid: Uid): ModSeq {
  const known = mailbox.modSeqOf(uid);
  return known === undefined ? noModSeq : asTold(known);
}

/** The code of an answer after which a client with QRESYNC knows all up to there (RFC 7162 3.2.7). */
export function highestCode({ enabled, mailbox }: Selected, hasExpunged: boolean): string | undefined {
  if (!enabled.qresync || !hasExpunged || mailbox.highestModSeq === undefined) return undefined;
  return `HIGHESTMODSEQ ${mailbox.highestModSeq}`;
}

/** `mod-sequence-valzer`: 0..2^63-1. */
export function modSeqValue(cursor: Cursor): ModSeq {
  const value = parseModSeq(digits(cursor));
  if (value === undefined) throw new ParseError("Invalid mod-sequence");
  return value;
}
