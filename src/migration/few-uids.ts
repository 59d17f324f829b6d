/**
 * UIDs end at 2^32 - 1 (RFC 3501 2.3.1.1). A mailbox that is near it takes mail for as long as its numbers last: the old
 * server may have its own way out, this one answers NO [LIMIT]. So an operator has to know before the cutover.
 */
import { maxUid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";

/** No mailbox comes here by its mail. */
const fewUids = 1_000_000;

/** How many are left, where they are few and nobody has accepted that. */
export function fewUidsLeft(store: AccountStore, record: MailboxRecord): number | undefined {
  const left = maxUid - record.uidNext;
  return left >= fewUids || store.readSetting(keyOf(record)) === "accepted" ? undefined : left;
}

export function acceptFewUids(store: AccountStore, record: MailboxRecord): void {
  store.writeSetting(keyOf(record), "accepted");
}

/** Under another UIDVALIDITY they begin anew. */
function keyOf({ id, uidValidity }: MailboxRecord): string {
  return `few-uids:${id}:${uidValidity}`;
}
