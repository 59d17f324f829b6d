/** How far an account has come: what `status`, `migrate` and the directory tell. */
import type { AccountCounters } from "../store/directory.ts";
import { wordsOf } from "./hindrance.ts";
import { hindrancesOf } from "./hindrances.ts";
import { acceptedOf } from "./left-behind.ts";
import { lossesOf } from "./losses.ts";
import { madeUpIn } from "./made-up.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";

export interface MailboxProgress {
  /** The name's wire bytes as latin1. */
  readonly name: string;
  readonly messages: number;
  readonly messagesHere: number;
  readonly bytes: number;
  readonly bytesHere: number;
  readonly problems: readonly string[];
  /** What is shown otherwise than there, and stands in nobody's way. */
  readonly notes: readonly string[];
}

export function progressOf(mailbox: MailboxMirror): MailboxProgress {
  const { state } = mailbox;
  const { table, record } = state;
  return {
    name: record.name,
    messages: table.uids.length,
    messagesHere: table.fullCount,
    bytes: table.knownBytes,
    bytesHere: table.fullBytes,
    problems: hindrancesOf(mailbox).map(wordsOf),
    notes: [...undated(state), ...acceptedAsWhole(state), ...acceptedLosses(state)],
  };
}

function undated(state: MailboxState): string[] {
  const count = madeUpIn(state).length;
  return count === 0
    ? []
    : [`of ${count} messages the old server tells no date or no size: shown is what their text says`];
}

function acceptedAsWhole(state: MailboxState): string[] {
  const accepted = acceptedOf(state);
  return accepted ? [`accepted as lost by ${accepted.by}, ${accepted.at}`] : [];
}

function acceptedLosses({ store, record }: MailboxState): string[] {
  return [...lossesOf(store, record).accepted].map(
    ([uid, { by, at }]) => `UID ${uid}: accepted as lost by ${by}, ${at}`,
  );
}

export function sumProgress(mailboxes: readonly MailboxProgress[]): AccountCounters {
  const sum = (of: (mailbox: MailboxProgress) => number): number =>
    mailboxes.reduce((total, mailbox) => total + of(mailbox), 0);
  return {
    mailboxes: mailboxes.length,
    messages: sum((mailbox) => mailbox.messages),
    messagesHere: sum((mailbox) => mailbox.messagesHere),
    bytes: sum((mailbox) => mailbox.bytes),
    bytesHere: sum((mailbox) => mailbox.bytesHere),
  };
}
