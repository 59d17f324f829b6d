/**
 * Whether a mailbox that has suddenly lost most of its messages is one of many: a users' tree that is not mounted, or a
 * restore that went wrong, empties small mailboxes, too, and they are looked at one after the other.
 */
import { isNonexistent } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MailboxRecord } from "../store/store.ts";
import { brakeFrom } from "./deletion-brake.ts";
import { isSelectable } from "./listing.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** More than half of an account of 50 messages or more is gone, as STATUS tells of its other mailboxes. */
export async function isAccountLoss(
  { store, record, table, brake }: MailboxState,
  lease: MailboxLease,
  vanished: readonly Uid[],
): Promise<boolean> {
  const gone = brake.suddenlyGone(table, vanished);
  if (gone === 0) return false;
  const others = store
    .mailboxes()
    .filter((one) => one.id !== record.id && isSelectable(one) && one.uidValidity !== undefined)
    .map((one) => ({ record: one, here: store.countMessages(one.id) }))
    .filter(({ here }) => here > 0);
  const total = others.reduce((sum, { here }) => sum + here, table.uids.length - brake.held.length);
  if (total < brakeFrom) return false;
  let lost = gone;
  // As soon as it is known, nobody else is asked.
  for (const other of others) {
    if (lost > total / 2) return true;
    lost += Math.max(0, other.here - (await leftOf(other.record, other.here, lease)));
  }
  return lost > total / 2;
}

/** As many as are here where the old server does not tell. */
async function leftOf(
  { name, uidValidity }: MailboxRecord,
  here: number,
  lease: MailboxLease,
): Promise<number> {
  try {
    const status = await lease.status(name);
    if (status.uidValidity !== undefined && status.uidValidity !== uidValidity) return 0;
    return status.messages ?? here;
  } catch (error) {
    return isNonexistent(error) ? 0 : here;
  }
}
