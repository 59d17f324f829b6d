/** Rollback: messages are added there, and get other UIDs here where theirs are used up. */
import { isLasting, MailError } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import { isSystemFlag } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { GiveBackParts, Progress } from "./give-back-mailbox.ts";
import type { GiveBackPlan } from "./give-back-plan.ts";
import type { FullMessage } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { raiseUidNext } from "./placeholders.ts";
import { bringOver } from "./straggler-sweep.ts";

/**
 * In the order of their UIDs: up to each one those that are not used here are used up there. What does not get its own
 * UID in spite of that is found by the next pass, and so are keywords, which some servers refuse together with the
 * message. Tells whether all were added.
 */
export async function addMissing(
  { store, signal }: GiveBackParts,
  record: MailboxRecord,
  lease: MailboxLease,
  { missing }: GiveBackPlan,
  keepsUids: boolean,
): Promise<boolean> {
  let next: number | undefined;
  for (const message of missing) {
    signal.throwIfAborted();
    if (keepsUids && message.uid !== next) {
      if ((await raiseUidNext(lease, record.name, message.uid)) !== message.uid) return false;
    }
    const content = store.openMessage(record, message);
    try {
      const flags = message.flags.filter(isSystemFlag);
      const { internalDate } = message;
      const appended = await lease.append(record.name, { content, flags, internalDate });
      next = appended && appended.uid + 1;
    } catch (error) {
      if (!isLasting(error)) throw error;
      throw new MailError(error.code, `UID ${message.uid}: ${error.message}`, error);
    } finally {
      content.close();
    }
  }
  return true;
}

/** Room for what comes meanwhile, so that the next pass is not too late again. */
const uidGap = 20;

/** Messages whose UIDs are used up there get others here; that is told as one going, and one coming. */
export async function moveUp(
  { authority }: GiveBackParts,
  mailbox: MailboxMirror,
  passed: readonly FullMessage[],
  { moved }: Progress,
): Promise<number> {
  const uids = passed.map(({ uid }) => uid);
  if (uids.length === 0) return 0;
  mailbox.state.reserveUids(uidGap);
  const copied = await authority.move(mailbox, uids, mailbox.state.record.name);
  for (const [index, from] of (copied?.from ?? []).entries()) moved.set(from, copied?.to[index] ?? from);
  return uids.length;
}

/** Mail that came there: below UIDs that clients know here, they would never look for it. */
export async function bringUp(
  store: AccountStore,
  mailbox: MailboxMirror,
  lease: MailboxLease,
  arrived: readonly Uid[],
): Promise<void> {
  if (arrived.length === 0) return;
  mailbox.state.reserveUids(uidGap);
  for (const from of arrived) await bringOver(store, mailbox, lease, from);
}
