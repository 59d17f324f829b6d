/** Brings what was written of an account to stable storage. */
import type { Logger } from "../log.ts";
import type { AccountDatabase } from "./database.ts";
import type { FolderFlusher } from "./flusher.ts";
import type { StoreContext } from "./store-context.ts";
import type { WriterJobs } from "./writer.ts";

/** A database is whole with its log, which is flushed like any file. No work where nothing was written. */
export async function makeDurable({ database, flusher }: StoreContext): Promise<void> {
  if (database.takeWritten()) flusher.wrote();
  await flusher.flush();
}

/** Where that fails the log stays, as long as it may be, and nothing is lost. */
export async function moveLogs(
  { paths }: AccountDatabase,
  writer: WriterJobs,
  logger: Logger,
): Promise<void> {
  try {
    await writer.run({ kind: "moveLogs", databases: paths });
  } catch (error) {
    logger.warn({ err: error }, "a database's log could not be moved into its file");
  }
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
export function createFlushAhead(flusher: FolderFlusher): FlushAhead {
  let unflushedBytes = 0;
  let flushing: Promise<void> | undefined;
  return {
    note(bytes) {
      unflushedBytes += bytes;
      if (flushing || unflushedBytes < flushAheadBytes) return;
      unflushedBytes = 0;
      // A failure shows in `makeDurable`, where it matters.
      flushing = flusher
        .flushAhead()
        .catch(() => undefined)
        .finally(() => {
          flushing = undefined;
        });
    },
    ended: async () => flushing,
  };
}
