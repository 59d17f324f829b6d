/**
 * What others do in a local account's folders: mail that they put there becomes messages, flags that they change in
 * the names of files are taken, and what they remove is gone.
 */
import { setTimeout as delay } from "node:timers/promises";
import { sameFlags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import { breathe } from "../waiting.ts";
import { type FullMessage, isFull, noteKeywords, removeAlone } from "./local-messages.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** Looked at before others get a turn. */
const messagesPerTurn = 5_000;

/**
 * Takes what others have done since the last look; resolves when the sessions know of it. `again`: something may not
 * have been whole yet.
 */
export async function takeDropped(mailbox: MailboxState): Promise<"done" | "again"> {
  for (;;) {
    mailbox.signal.throwIfAborted();
    if (!mailbox.isLocal || mailbox.store.isUnchanged(mailbox.record)) return "done";
    const { isMore, isUnfinished } = await mailbox.exclusive(() => takeSome(mailbox));
    if (!isMore) return isUnfinished ? "again" : "done";
  }
}

/** All of it; the caller is alone with the mailbox. */
export async function takeAlone(mailbox: MailboxState): Promise<void> {
  if (mailbox.store.isUnchanged(mailbox.record)) return;
  while ((await takeSome(mailbox)).isMore);
}

/**
 * `work` gives UIDs, which nobody else does meanwhile; all that were given by others are known. The caller is alone
 * with the mailbox.
 */
export function givingUids<T>(mailbox: MailboxState, work: () => Promise<T>): Promise<T> {
  const { store } = mailbox;
  return store.lockUids(mailbox.record, async () => {
    await takeAlone(mailbox);
    raiseUidNext(mailbox, await store.listedUidNext(mailbox.record));
    return work();
  });
}

/** Before the legacy server has the last word again. The caller is alone with the mailbox. */
export async function keepAsOurs(mailbox: MailboxState): Promise<void> {
  const { store, record, table } = mailbox;
  const renamed = await store.nameAsOurs(record, table.all());
  if (renamed.length === 0) return;
  table.put(renamed);
  await store.checkpoint(record, table);
}

async function takeSome(
  mailbox: MailboxState,
): Promise<{ readonly isMore: boolean; readonly isUnfinished: boolean }> {
  // Who waited for his turn while the mailbox got another master.
  if (!mailbox.isLocal) return { isMore: false, isUnfinished: false };
  const { store } = mailbox;
  const { isScanned, hasMail, isUnfinished } = await store.lookAround(mailbox.record);
  const isAllKnown = !isScanned || (await followFiles(mailbox));
  if (!hasMail) return { isMore: false, isUnfinished: isUnfinished || !isAllKnown };
  const { messages, isMore } = await store.takeDropped(mailbox.record, {
    modSeq: mailbox.nextModSeq(),
    aboveAll: (mailbox.table.uids.at(-1) ?? 0) + 1,
    reserve: (count, least) => mailbox.reserveUids(count, least),
    raiseUidNext: (uidNext) => raiseUidNext(mailbox, uidNext),
  });
  if (messages.length > 0) {
    noteKeywords(mailbox, messages.filter(isFull));
    mailbox.commitAdded(messages);
  }
  return { isMore, isUnfinished: true };
}

function raiseUidNext(mailbox: MailboxState, uidNext: Uid): void {
  if (uidNext > mailbox.record.uidNext) mailbox.reserveUids(0, uidNext);
}

/** The messages, as their files are now; false where the flags of some are not known yet. */
async function followFiles(mailbox: MailboxState): Promise<boolean> {
  const { store, record, table, logger } = mailbox;
  const { uids } = table;
  const gone: Uid[] = [];
  let isAllKnown = true;
  for (let from = 0; from < uids.length; from += messagesPerTurn) {
    if (from > 0) await breathe();
    const renamed: FullMessage[] = [];
    for (const one of uids.slice(from, from + messagesPerTurn)) {
      const message = table.get(one);
      const fileName = store.fileOf(record, one);
      if (fileName === undefined) gone.push(one);
      else if (isFull(message) && message.fileName !== fileName) renamed.push({ ...message, fileName });
    }
    if (renamed.length > 0) isAllKnown = followNames(mailbox, renamed) && isAllKnown;
  }
  if (gone.length === 0) return isAllKnown;
  logger.info({ mailbox: record.name, messages: gone.length }, "others have removed messages");
  await removeAlone(store, mailbox, gone, "lost");
  return isAllKnown;
}

/** Each with the name that its file has now. False where some are to be looked at again. */
function followNames(mailbox: MailboxState, renamed: readonly FullMessage[]): boolean {
  const { store, record, table } = mailbox;
  const followed: FullMessage[] = [];
  const changed: FullMessage[] = [];
  for (const message of renamed) {
    const before = table.get(message.uid);
    const flags = isFull(before) ? store.flagsOfFile(record, before, message.fileName) : message.flags;
    if (flags === undefined) continue;
    followed.push(message);
    if (!sameFlags(flags, message.flags)) changed.push({ ...message, flags });
  }
  // Whose name says the same as before has just another name.
  table.put(followed);
  noteKeywords(mailbox, changed);
  mailbox.commitFlags(changed);
  return followed.length === renamed.length;
}

/** Where the system does not tell of new files: on a network file system, or when it has no watch to give. */
const pollMs = 15_000;
/** Until what may not have been whole is looked at again. */
const againMs = 1_000;

/** Looks whenever something happens in the folder, until `ended`. `look` is shared with who else looks. */
export async function watchDropped(
  { store, record, logger }: MailboxState,
  look: () => Promise<"done" | "again">,
  ended: AbortSignal,
): Promise<void> {
  const note = (error: unknown): undefined => {
    if (!ended.aborted) logger.warn({ err: error, mailbox: record.name }, "new mail has to wait");
  };
  let next: NodeJS.Timeout | undefined;
  const lookNow = async (): Promise<void> => {
    const outcome = await look().catch(note);
    clearTimeout(next);
    if (outcome === "again" && !ended.aborted) next = setTimeout(() => void lookNow(), againMs);
  };
  let unwatch: (() => void) | undefined;
  try {
    unwatch = store.watchFolder(record, () => void lookNow());
  } catch (error) {
    note(error);
  }
  try {
    while (!ended.aborted) {
      await lookNow();
      await delay(pollMs, undefined, { signal: ended }).catch(() => undefined);
    }
  } finally {
    clearTimeout(next);
    unwatch?.();
  }
}
