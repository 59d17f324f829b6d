/** Mail that another agent drops into a local account's folders: it gets its UID here. */
import { setTimeout as delay } from "node:timers/promises";
import type { MailboxState } from "./mailbox-state.ts";

/** Adds what was dropped since the last look; resolves when the sessions know of it. */
export async function takeDropped(mailbox: MailboxState): Promise<void> {
  const takeSome = (): Promise<number> =>
    mailbox.exclusive(async () => {
      const { store, record } = mailbox;
      const dropped = await store.readDropped(record);
      if (dropped.length === 0) return 0;
      const first = mailbox.reserveUids(dropped.length);
      mailbox.commitAdded(await store.adoptDropped(mailbox.record, dropped, first));
      return dropped.length;
    });
  while ((await takeSome()) > 0) mailbox.signal.throwIfAborted();
}

/** Where the system does not tell of new files: on a network file system, or when it has no watch to give. */
const pollMs = 15_000;

/** Looks whenever something comes into new/, until `ended`. `look` is shared with who else looks. */
export async function watchDropped(
  { store, record, logger }: MailboxState,
  look: () => Promise<void>,
  ended: AbortSignal,
): Promise<void> {
  const note = (error: unknown): void => {
    if (!ended.aborted) logger.warn({ err: error, mailbox: record.name }, "new mail has to wait");
  };
  let unwatch: (() => void) | undefined;
  try {
    unwatch = store.watchNew(record, () => void look().catch(note));
  } catch (error) {
    note(error);
  }
  try {
    while (!ended.aborted) {
      await look().catch(note);
      await delay(pollMs, undefined, { signal: ended }).catch(() => undefined);
    }
  } finally {
    unwatch?.();
  }
}
