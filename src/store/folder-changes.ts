/**
 * Whether others have changed anything in a local mailbox's cur/ or new/ since it was scanned: by the folders' mtimes,
 * as Dovecot does. A change in the tick of the clock in which the scan began cannot be told from it: then the next look
 * scans once more. Our own changes are noted, not scanned; what others have changed in the same moment is found by
 * a scan some seconds later.
 */
import { statSync } from "node:fs";
import { join } from "node:path";

/** Mtimes in nanoseconds; undefined before the first scan. */
export interface SeenFolder {
  cur: bigint | undefined;
  new: bigint | undefined;
  /** The last scan may have missed something. */
  isDoubtful: boolean;
  /** Mtimes, not of changes of ours, in whose tick it was made. */
  readonly doubted: { cur: bigint | undefined; new: bigint | undefined };
  /** When we began to change cur/ without a scan since (`performance.now()`). */
  changedAt: number | undefined;
}

interface Watched {
  readonly path: string;
  readonly isLocal: boolean;
  readonly seen: SeenFolder;
}

/** A tick of the kernel is 10 ms at most; some file systems keep whole seconds, or two of them. */
const tickMs = 100;
const coarseTickMs = 2_500;

/** After changes of our own. */
const scanAgainMs = 15_000;

export function unseenFolder(): SeenFolder {
  return {
    cur: undefined,
    new: undefined,
    isDoubtful: false,
    doubted: { cur: undefined, new: undefined },
    changedAt: undefined,
  };
}

/** Two calls of stat. Throws where a folder is not there. */
export function hasChanged({ path, seen }: Watched): boolean {
  if (seen.isDoubtful || mtimeOf(path, "cur") !== seen.cur || mtimeOf(path, "new") !== seen.new) return true;
  return seen.changedAt !== undefined && performance.now() > seen.changedAt + scanAgainMs;
}

/** To be called before the folders are listed. */
export function noteScan({ path, seen }: Watched): void {
  seen.isDoubtful = false;
  seen.changedAt = undefined;
  for (const sub of ["cur", "new"] as const) {
    const mtime = mtimeOf(path, sub);
    const isOurs = mtime === seen[sub] && mtime !== seen.doubted[sub];
    seen[sub] = mtime;
    seen.doubted[sub] = isOurs || !isRecent(mtime) ? undefined : mtime;
    if (seen.doubted[sub] !== undefined) seen.isDoubtful = true;
    else if (isRecent(mtime)) seen.changedAt = performance.now();
  }
}

/** The next look scans. */
export function noteDoubt({ seen }: Watched): void {
  seen.isDoubtful = true;
}

/** Changes the folder by `work`, which needs no scan afterwards. */
export function changeFolder<T>(folder: Watched, work: () => T): T {
  const note = beforeChange(folder);
  try {
    return work();
  } finally {
    note();
  }
}

/** What is returned is to be called after the change. */
export function beforeChange(folder: Watched): () => void {
  const { path, isLocal, seen } = folder;
  if (!isLocal || seen.cur === undefined) return () => undefined;
  const subs = (["cur", "new"] as const).filter((sub) => mtimeIfThere(path, sub) === seen[sub]);
  return () => {
    for (const sub of subs) seen[sub] = mtimeIfThere(path, sub);
    seen.changedAt ??= performance.now();
  };
}

function isRecent(mtimeNs: bigint): boolean {
  const ageMs = Date.now() - Number(mtimeNs / 1_000_000n);
  return Math.abs(ageMs) < (mtimeNs % 1_000_000_000n === 0n ? coarseTickMs : tickMs);
}

function mtimeOf(path: string, sub: string): bigint {
  return statSync(join(path, sub), { bigint: true }).mtimeNs;
}

function mtimeIfThere(path: string, sub: string): bigint | undefined {
  return statSync(join(path, sub), { bigint: true, throwIfNoEntry: false })?.mtimeNs;
}
