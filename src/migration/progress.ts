/** How far an account has come: what `status`, `migrate` and the directory tell. */
import type { AccountCounters } from "../store/directory.ts";
import { madeUpIn } from "./made-up.ts";
import { describeDoubts } from "./mailbox-doubts.ts";
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

export function progressOf({ state, quarantine }: MailboxMirror): MailboxProgress {
  const { table, record, problem, isTransient } = state;
  const quarantined = [...quarantine]
    .sort(([a], [b]) => a - b)
    .map(([uid, reason]) => `UID ${uid}: ${reason}`);
  return {
    name: record.name,
    messages: table.uids.length,
    messagesHere: table.fullCount,
    bytes: table.knownBytes,
    bytesHere: table.fullBytes,
    problems: [
      ...(problem === undefined ? [] : [problem]),
      ...(isTransient ? [notToBeKept] : []),
      ...describeDoubts(state),
      ...heldBack(state),
      ...quarantined,
    ],
    notes: undated(state),
  };
}

function undated(state: MailboxState): string[] {
  const count = madeUpIn(state).length;
  return count === 0
    ? []
    : [`of ${count} messages the old server tells no date or no size: shown is what their text says`];
}

const notToBeKept =
  "the old server does not tell a UIDVALIDITY above 0: its messages are shown to clients, and not migrated";

/** For people: deletions that somebody must decide on. */
function heldBack({ brake: { held } }: MailboxState): string[] {
  const count = held.length;
  return count === 0
    ? []
    : [
        `the old server has suddenly lost ${count} messages; they are kept here until you decide (deletions --help)`,
      ];
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
