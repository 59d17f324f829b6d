/** What a mailbox has for being Mailferry's own. */
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
export function firstOwnUid(uidNext: Uid, atCutover: number | undefined): Uid {
  return uidNext === atCutover ? uid(Math.min(uidNext + uidGap, maxUid)) : uidNext;
}
