/**
 * \Recent (RFC 3501 2.3.2): a message is recent to the first session here that is told of it, and to no
 * other; EXAMINE takes nothing away. It is not mirrored. Per mailbox one durable number: all UIDs below
 * it have been claimed.
 */
import { type Uid, uid } from "../mail/ids.ts";
import { lowerBound } from "../mail/number-set.ts";
import { uidNextAtCutover } from "../migration/local-mailbox.ts";
import type { MailboxState } from "../migration/mailbox-state.ts";
import { StoreTrouble } from "../store/store-errors.ts";

export interface RecentLedger {
  /** The unclaimed messages, which from now on are the caller's own unless it only examines. */
  claim(mailbox: MailboxState, examine: boolean): readonly Uid[];
  /** How many a session would get; for STATUS. */
  count(mailbox: MailboxState): number;
}

export function createRecentLedger(): RecentLedger {
  const unclaimedFrom = (mailbox: MailboxState): Uid => {
    const kept = mailbox.store.readSetting(keyOf(mailbox));
    if (kept !== undefined) return uid(Number(kept));
    const from = seenThere(mailbox);
    claimBelow(mailbox, from);
    return from;
  };
  const unclaimed = (mailbox: MailboxState): readonly Uid[] => {
    const from = unclaimedFrom(mailbox);
    const { uids } = mailbox.table;
    return (uids.at(-1) ?? 0) < from ? [] : uids.slice(lowerBound(uids, from));
  };
  return {
    claim(mailbox, examine) {
      const claimed = unclaimed(mailbox);
      const last = claimed.at(-1);
      if (last !== undefined && !examine) claimBelow(mailbox, uid(last + 1));
      return claimed;
    },
    count: (mailbox) => unclaimed(mailbox).length,
  };
}

/** What was there at the first look has been seen on the legacy server, if it is not from after the cutover. */
function seenThere({ store, record, isLocal }: MailboxState): Uid {
  const atCutover = isLocal ? uidNextAtCutover(store, record) : undefined;
  return atCutover === undefined ? record.uidNext : uid(atCutover);
}

/** Where the disk is full a message may be recent twice: no reason to turn a client away. */
function claimBelow(mailbox: MailboxState, next: Uid): void {
  try {
    mailbox.store.writeSetting(keyOf(mailbox), String(next));
  } catch (error) {
    if (!(error instanceof StoreTrouble)) throw error;
    mailbox.logger.warn({ err: error, mailbox: mailbox.record.name }, "what is recent could not be kept");
  }
}

const keyOf = (mailbox: MailboxState): string => `recent:${mailbox.record.id}:${mailbox.record.uidValidity}`;
