/**
 * Which messages of a local account have left it by somebody's wish, and which were lost: a rollback removes the former
 * at the legacy server, and leaves the latter.
 */
import type { MailboxId, Uid } from "../mail/ids.ts";
import { type NumberRange, uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";

const lostKey = (id: MailboxId): string => `lost:${id}`;
const removedKey = (id: MailboxId): string => `removed:${id}`;

function lostMessages(store: AccountStore, id: MailboxId): ReadonlySet<Uid> {
  return new Set(JSON.parse(store.readSetting(lostKey(id)) || "[]") as Uid[]);
}

export function noteLost(store: AccountStore, { id }: MailboxRecord, uids: readonly Uid[]): void {
  const all = new Set([...lostMessages(store, id), ...uids]);
  store.writeSetting(lostKey(id), JSON.stringify([...all]));
}

/** So many go at once that the log of expunges begins anew, and forgets them. */
export function noteManyRemoved(store: AccountStore, { id }: MailboxRecord, uids: readonly Uid[]): void {
  const before = JSON.parse(store.readSetting(removedKey(id)) || "[]") as NumberRange[];
  store.writeSetting(removedKey(id), JSON.stringify([...before, ...uidSetOf(uids)]));
}

/** At the cutover: what was lost or removed before is nobody's concern any more. */
export function forgetLost(store: AccountStore, id: MailboxId): void {
  store.writeSetting(lostKey(id), "");
  store.writeSetting(removedKey(id), "");
}

/** Tells of UIDs that are not here whether somebody has wanted that. */
export function removedHere(store: AccountStore, { id }: MailboxRecord): (uid: Uid) => boolean {
  const begin = store.expunges.begin(id);
  const logged = new Set(begin === undefined ? [] : store.expunges.since(id, begin));
  const lost = lostMessages(store, id);
  const many = JSON.parse(store.readSetting(removedKey(id)) || "[]") as NumberRange[];
  return (uid) =>
    !lost.has(uid) && (logged.has(uid) || many.some(({ from, to }) => uid >= from && uid <= to));
}
