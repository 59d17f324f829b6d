/**
 * Whether a mailbox's listing is kept over a restart: only once every message in it has its row in the index, and no
 * other message has.
 */
import type { AccountStore, MailboxRecord } from "../store/store.ts";

export interface ListingMark {
  /** At the opening. */
  readonly isKept: boolean;
  write(isKept: boolean): void;
}

/** index.db, which holds the mark, and sidecar.db, which holds the record, may be of different moments. */
export function openListingMark(store: AccountStore, record: () => MailboxRecord): ListingMark {
  const key = `listed:${record().id}`;
  const whole = (): string => `${record().uidValidity}:${record().uidNext}`;
  let kept = store.readMark(key);
  return {
    isKept: kept === whole(),
    write(isKept) {
      const mark = isKept ? whole() : "no";
      if (mark === kept) return;
      store.writeMark(key, mark);
      kept = mark;
    },
  };
}
