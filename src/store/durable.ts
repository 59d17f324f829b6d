/** Brings what was written of an account to stable storage. */
import type { FolderFlusher } from "./flusher.ts";
import type { StoreContext } from "./store-context.ts";

/** The databases' logs are moved first, so that what is flushed is whole. No work where nothing was written. */
export async function makeDurable({ database, flusher }: StoreContext): Promise<void> {
  if (database.flush()) flusher.wrote();
  await flusher.flush();
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
