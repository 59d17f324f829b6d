/** Rollback: messages are added there, and get other UIDs here where theirs are used up. */
import { isLasting, MailError } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import { isSystemFlag } from "../mail/flags.ts";
import { type Uid, uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { digestHere } from "./compare-bytes.ts";
import { digestingSink } from "./digests.ts";
import type { GiveBackParts, Progress } from "./give-back-mailbox.ts";
import type { GiveBackPlan } from "./give-back-plan.ts";
import { lenientDigest } from "./lenient-digest.ts";
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
  { keepsUids, progress }: { readonly keepsUids: boolean; readonly progress: Progress },
): Promise<boolean> {
  let next: Uid | undefined;
  for (const message of missing) {
    signal.throwIfAborted();
    if (keepsUids && message.uid !== next) {
      if ((await raiseUidNext(lease, record.name, message.uid)) !== message.uid) return false;
    }
    const before = keepsUids ? message.uid : (next ?? (await lease.examineAgain()).uidNext);
    const content = store.openMessage(record, message);
    try {
      const flags = message.flags.filter(isSystemFlag);
      const { internalDate } = message;
      const appended = await lease.append(record.name, { content, flags, internalDate });
      next = appended ? uid(appended.uid + 1) : (await lease.examineAgain()).uidNext;
      if (next <= before)
        progress.merged.set(message.uid, await sameThere(store, record, lease, message, appended?.uid));
    } catch (error) {
      if (!isLasting(error)) throw error;
      throw new MailError(error.code, `UID ${message.uid}: ${error.message}`, error);
    } finally {
      content.close();
    }
    if (next <= before) next = undefined;
  }
  return true;
}

/**
 * Some servers keep one message of those that are alike, answer OK to a second one, and add nothing. Where it is the
 * same to the byte nothing is lost by that; otherwise it would be.
 */
async function sameThere(
  store: AccountStore,
  record: MailboxRecord,
  lease: MailboxLease,
  message: FullMessage,
  told: Uid | undefined,
): Promise<Uid> {
  const alike: Uid[] = [];
  if (told !== undefined) alike.push(told);
  else {
    const uids = uidSetOf(await lease.listUids());
    await lease.fetchMeta(uids, ({ uid: one, sizeBytes }) => {
      if (sizeBytes === message.sizeBytes) alike.push(one);
    });
  }
  const wanted = await digestHere(() => store.openMessage(record, message), lenientDigest);
  const digests = new Map<Uid, string>();
  if (alike.length > 0) await lease.fetchBodies(uidSetOf(alike), digestingSink(digests, lenientDigest));
  const same = alike.find((one) => digests.get(one) === wanted);
  if (same !== undefined) return same;
  throw new MailError(
    "CANNOT",
    "the legacy server answers OK to APPEND and adds nothing; it may have another message of the same Message-ID. " +
      "Once this one is in another mailbox here, or deleted, the rollback can be tried again",
  );
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
  const uids = passed.map((message) => message.uid);
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
