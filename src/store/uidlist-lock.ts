/** dovecot-uidlist's lock, which one of us at a time holds for a mailbox, with all that is called while it does. */
import { join } from "node:path";
import { acquireDotlock, type Dotlock, type LockTimes, uidlistLock } from "./dotlock.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";

const touchMs = 5_000;

/** Waits for the lock, which throws INUSE in the end, unless the caller's caller has it. */
export async function underUidlistLock<T>(
  folder: MailboxFolder,
  signal: AbortSignal,
  work: (lock: Dotlock) => Promise<T>,
  times: LockTimes = uidlistLock,
): Promise<T> {
  if (folder.lock) return work(folder.lock);
  const lock = await acquireDotlock(join(folder.path, "dovecot-uidlist"), times, signal);
  const touching = setInterval(() => touch(lock), touchMs);
  folder.lock = lock;
  try {
    return await work(lock);
  } finally {
    clearInterval(touching);
    folder.lock = undefined;
    lock.release();
  }
}

function touch(lock: Dotlock): void {
  try {
    lock.touch();
  } catch {
    // Somebody has taken it away: what is under way is finished all the same.
  }
}
