/** Messages of a local account whose files were lost: nobody has wanted them removed, and a rollback leaves them. */
import type { Uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";

const lostKey = ({ id, uidValidity }: MailboxRecord): string => `lost:${id}:${uidValidity}`;

export function lostMessages(store: AccountStore, record: MailboxRecord): ReadonlySet<Uid> {
  return new Set(JSON.parse(store.readSetting(lostKey(record)) ?? "[]") as Uid[]);
}

export function noteLost(store: AccountStore, record: MailboxRecord, uids: readonly Uid[]): void {
  const all = new Set([...lostMessages(store, record), ...uids]);
  store.writeSetting(lostKey(record), JSON.stringify([...all]));
}
