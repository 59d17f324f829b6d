/**
 * Mailboxes that an account goes over without: the old server does not open them (shut-mailbox.ts), and an operator
 * has accepted them as lost; or nothing is in them, as the old server itself says.
 *
 * What always holds
 * - What is accepted is what was there then: where more is told of it, it is to be decided on anew.
 * - One of which nothing is here is absent after the cutover, and never a made-up empty one; of any other, what is
 *   here stays. It has no cutover mark, so that neither sweep nor rollback touches it at the old server.
 */
import { encodedMailboxName } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { commitListing, keptListing } from "./listing.ts";
import { lossesOf } from "./losses.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { type Extent, isUnused, shutOf } from "./shut-mailbox.ts";

export interface AcceptedMailbox {
  readonly there: Extent | undefined;
  /** Who has said so, and when (ISO 8601). */
  readonly by: string;
  readonly at: string;
}

type Mailbox = Pick<MailboxState, "store" | "record" | "table">;

const keyOf = ({ id }: MailboxRecord): string => `accepted:${id}`;

/** Whether or not it covers what is there by now. */
export function lastAccepted({
  store,
  record,
}: Pick<Mailbox, "store" | "record">): AcceptedMailbox | undefined {
  const kept = store.readSetting(keyOf(record)) || undefined;
  return kept === undefined ? undefined : (JSON.parse(kept) as AcceptedMailbox);
}

/** Somebody has accepted all that is known to be there. */
export function acceptedOf(mailbox: Mailbox): AcceptedMailbox | undefined {
  const accepted = lastAccepted(mailbox);
  return accepted && covers(accepted.there, shutOf(mailbox)?.there) ? accepted : undefined;
}

export function acceptMailbox(mailbox: Mailbox, word: Omit<AcceptedMailbox, "there">): void {
  const { store, record, table } = mailbox;
  const accepted: AcceptedMailbox = { ...word, there: shutOf(mailbox)?.there };
  store.writeSetting(keyOf(record), JSON.stringify(accepted));
  const losses = lossesOf(store, record);
  for (const uid of table.uids) if (table.get(uid)?.presence !== "full") losses.accept(uid, word);
}

/** It is as any other again. */
export function forgetAccepted({ store, record }: Pick<Mailbox, "store" | "record">): void {
  if (lastAccepted({ store, record })) store.writeSetting(keyOf(record), "");
}

/** A cutover does not wait for it. */
export function isLeftBehind(mailbox: Mailbox): boolean {
  return shutOf(mailbox) !== undefined && (acceptedOf(mailbox) !== undefined || isEmptyThere(mailbox));
}

/** The old server does not open it, and says itself that nothing was ever in it; nor has it shown anything. */
export function isEmptyThere(mailbox: Mailbox): boolean {
  const there = shutOf(mailbox)?.there;
  return there !== undefined && isUnused(there) && mailbox.table.uids.length === 0;
}

/** Nothing of it is here. */
export function isAbsentThen(mailbox: Mailbox): boolean {
  return isLeftBehind(mailbox) && mailbox.table.fullCount === 0;
}

/** Where nothing was told, whatever is told later is more. */
function covers(accepted: Extent | undefined, now: Extent | undefined): boolean {
  if (now === undefined) return true;
  if (accepted === undefined) return now.messages === 0;
  return now.messages <= accepted.messages && (now.uidNext ?? 0) <= (accepted.uidNext ?? now.uidNext ?? 0);
}

const absentKey = "absent-since-cutover";

/** Before the account becomes local: these are not to be mailboxes of it. */
export function noteAbsent(store: AccountStore, names: readonly string[]): void {
  store.writeSetting(absentKey, JSON.stringify(names));
}

/** Of an account that has become local: their subscriptions stay, so that a rollback finds them as they were. */
export function dropAbsent(store: AccountStore): void {
  const names = (JSON.parse(store.readSetting(absentKey) || "[]") as string[]).map(encodedMailboxName);
  const kept = keptListing(store);
  if (names.length === 0 || !kept) return;
  commitListing(store, { ...kept, mailboxes: kept.mailboxes.filter(({ name }) => !names.includes(name)) });
  noteAbsent(store, []);
}
