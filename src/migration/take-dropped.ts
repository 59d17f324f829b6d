/** Mail that another agent drops into a local account's folders: it gets its UID here. */
import { setTimeout as delay } from "node:timers/promises";
import type { MailboxState } from "./mailbox-state.ts";

/**
 * Adds what was dropped since the last look; resolves when the sessions know of it. `again`: something was not
 * whole yet.
 */
export async function takeDropped(mailbox: MailboxState): Promise<"done" | "again"> {
  for (;;) {
    mailbox.signal.throwIfAborted();
    const { count, waiting } = await takeSome(mailbox);
    if (count === 0) return waiting ? "again" : "done";
  }
}

function takeSome(mailbox: MailboxState): Promise<{ readonly count: number; readonly waiting: boolean }> {
  return mailbox.exclusive(async () => {
    // Who waited for his turn while the mailbox got another master.
    if (!mailbox.isLocal) return { count: 0, waiting: false };
    const { store, record } = mailbox;
    const { dropped, waiting } = await store.readDropped(record);
    if (dropped.length > 0) {
      const modSeq = mailbox.nextModSeq();
      const first = { uid: mailbox.reserveUids(dropped.length), modSeq };
      mailbox.commitAdded(await store.adoptDropped(mailbox.record, dropped, first));
    }
    return { count: dropped.length, waiting };
  });
}

/** Where the system does not tell of new files: on a network file system, or when it has no watch to give. */
const pollMs = 15_000;
/** Until what was still being written is looked at again. */
const againMs = 1_000;

/** Looks whenever something comes into new/, until `ended`. `look` is shared with who else looks. */
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
    unwatch = store.watchNew(record, () => void lookNow());
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
