/** Brings what was written to stable storage. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { StoreContext } from "./store-context.ts";

const run = promisify(execFile);

/** Generous: a slow disk with much unwritten data takes its time, a hanging one must not hold us for ever. */
const syncTimeoutMs = 10 * 60_000;

/** The databases' logs are moved first, so that what is flushed is whole. */
export async function makeDurable({ directory, database, writer, logger }: StoreContext): Promise<void> {
  database.flush();
  try {
    await syncFileSystem(directory);
  } catch (error) {
    logger.debug({ err: error }, "sync -f is not to be had, flushing file by file");
    await writer.run({ kind: "sync", directory });
  }
}

/** syncfs(2), which Node does not have: one call for the whole file system. */
async function syncFileSystem(directory: string): Promise<void> {
  await run("sync", ["-f", directory], { timeout: syncTimeoutMs });
}

export interface FlushAhead {
  /** So much was written. */
  note(bytes: number): void;
  /** Resolves when no flush is running. */
  ended(): Promise<void>;
}

/** Left to itself the system begins to write half a minute later. */
const flushAheadBytes = 64 << 20;

/** Keeps the disk busy while mail comes in, so that little is left for `makeDurable` to wait for. */
export function createFlushAhead(directory: string): FlushAhead {
  let unflushedBytes = 0;
  let flushing: Promise<void> | undefined;
  return {
    note(bytes) {
      unflushedBytes += bytes;
      if (flushing || unflushedBytes < flushAheadBytes) return;
      unflushedBytes = 0;
      // A failure shows in `makeDurable`, where it matters.
      flushing = syncFileSystem(directory)
        .catch(() => undefined)
        .finally(() => {
          flushing = undefined;
        });
    },
    ended: async () => flushing,
  };
}
