/** Messages of which the legacy server tells no date or no size, so that clients are shown what their text says. */
import type { Uid } from "../mail/ids.ts";
import { formatNumberSet, parseSequenceSet, resolveSequenceSet, uidSetOf } from "../mail/number-set.ts";
import { includes } from "../mail/range-sets.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import type { MailboxState } from "./mailbox-state.ts";

type Mailbox = Pick<MailboxState, "store" | "record" | "table">;

export function noteMadeUp(mailbox: Mailbox, uids: readonly Uid[]): void {
  if (uids.length === 0) return;
  const all = [...new Set([...madeUpIn(mailbox), ...uids])].sort((a, b) => a - b);
  try {
    mailbox.store.writeSetting(keyOf(mailbox), formatNumberSet(uidSetOf(all)));
  } catch (error) {
    // On a full disk they are served all the same.
    if (!(error instanceof StoreTrouble)) throw error;
  }
}

export function madeUpIn(mailbox: Mailbox): readonly Uid[] {
  const kept = mailbox.store.readSetting(keyOf(mailbox));
  if (kept === undefined) return [];
  const ranges = resolveSequenceSet(parseSequenceSet(kept) ?? [], 0);
  return mailbox.table.uids.filter((uid) => includes(ranges, uid));
}

/** What they were is good for one UIDVALIDITY. */
function keyOf({ record: { id, uidValidity } }: Mailbox): string {
  return `made-up:${id}:${uidValidity}`;
}
