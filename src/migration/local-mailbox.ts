/** What a mailbox has for being Mailferry's own. */
import { MailError } from "../errors.ts";
import { maxUid, type Uid, uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";

export const systemFlags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
export const localPermanentFlags = [...systemFlags, "\\*"];

/**
 * Between the last UID of the legacy server and the first of ours: what may still come there, and be brought over,
 * keeps UIDs of its own.
 */
const uidGap = 100;
const uidGapKey = ({ id, uidValidity }: MailboxRecord): string => `uid-gap:${id}:${uidValidity}`;

/** Before a mailbox becomes local: where its own UIDs are to begin. */
export function keepUidGap(store: AccountStore, record: MailboxRecord): void {
  store.writeSetting(uidGapKey(record), String(record.uidNext));
}

/** UIDNEXT at the cutover; undefined where there was none. */
export function uidNextAtCutover(store: AccountStore, record: MailboxRecord): number | undefined {
  return Number(store.readSetting(uidGapKey(record))) || undefined;
}

/** Of what is added to a local mailbox. */
export function firstOwnUid(uidNext: Uid, atCutover: number | undefined, count: number): Uid {
  // Near the end of the numbers half of what is left is for ours.
  const gap = uidNext === atCutover ? Math.min(uidGap, Math.floor((maxUid - uidNext) / 2)) : 0;
  // UIDNEXT is such a number, too, and above the last that is used (RFC 3501 2.3.1.1).
  if (uidNext + gap + count > maxUid)
    throw new MailError("LIMIT", "The mailbox has no message numbers left: make another one");
  return uid(uidNext + gap);
}
