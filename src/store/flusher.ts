/**
 * Brings what was written to stable storage, for all accounts that wait at the same moment at once, and for none of
 * which nothing was written since. All accounts of a process share one flusher, which outlives their openings.
 *
 * What always holds
 * - A flush begins after the call that it answers: who comes while one runs waits for one more.
 * - What was written counts as flushed only by a flush that began later and succeeded. Of what earlier processes have
 *   written nothing is known: the first flush of the whole file system covers it.
 */
import { statSync } from "node:fs";
import type { Logger } from "../log.ts";
import { singleFlight, takeTurns } from "../waiting.ts";
import type { SyncHelper } from "./sync-helper.ts";
import type { WriterJobs } from "./writer.ts";

export interface Flusher {
  /** Of an account's folder, which exists. */
  folder(directory: string): FolderFlusher;
}

export interface FolderFlusher {
  /** Something below it was written: to be called when that is done. */
  wrote(): void;
  /** Everything written so far is on stable storage when it resolves; at once where it was before. */
  flush(): Promise<void>;
  /** So that less is left to wait for later. Never file by file, which would keep the writer from writing. */
  flushAhead(): Promise<void>;
}

export interface FlusherOptions {
  readonly writer: WriterJobs;
  readonly logger: Logger;
  /** Without one each folder is flushed file by file, in the writer's thread. */
  readonly helper?: Pick<SyncHelper, "sync"> | undefined;
}

export function createFlusher({ writer, logger, helper }: FlusherOptions): Flusher {
  const fileSystems = new Map<number, FileSystem>();
  let flushes = 0;
  const clock: Clock = { now: () => flushes, next: () => ++flushes };

  const sync = async (directory: string): Promise<void> => {
    if (!helper) throw new Error("there is no sync helper");
    await helper.sync(directory);
  };
  const fileSystemOf = (directory: string): FileSystem => {
    // An account's folder may be a mount, or a link to one.
    const { dev } = statSync(directory);
    const known = fileSystems.get(dev);
    if (known) return known;
    const made = createFileSystem(sync, clock);
    fileSystems.set(dev, made);
    return made;
  };

  return {
    folder(directory) {
      const fileSystem = fileSystemOf(directory);
      const flushFiles = singleFlight(async () => {
        const began = clock.next();
        await writer.run({ kind: "sync", directory });
        fileSystem.noteFlushed(directory, began);
      });
      return {
        wrote: () => fileSystem.noteWritten(directory),
        async flush() {
          if (fileSystem.isFlushed(directory)) return;
          try {
            await fileSystem.flush(directory);
          } catch (error) {
            logger.debug({ err: error }, "sync -f is not to be had, flushing file by file");
            await flushFiles();
          }
        },
        flushAhead: () => fileSystem.flush(directory),
      };
    },
  };
}

/** Goes up when a flush begins: it covers what was written at an earlier time. */
interface Clock {
  now(): number;
  next(): number;
}

interface FileSystem {
  noteWritten(directory: string): void;
  /** By a flush of this folder alone that began then. */
  noteFlushed(directory: string, began: number): void;
  isFlushed(directory: string): boolean;
  /** All of it. */
  flush(directory: string): Promise<void>;
}

/** Of a folder that was not written to since its own flush. */
const never = -1;

function createFileSystem(sync: (directory: string) => Promise<void>, clock: Clock): FileSystem {
  /** When each folder was last written to; none that the last flush covers. */
  const written = new Map<string, number>();
  const inTurn = takeTurns();
  /** When the last flush began that has succeeded. */
  let flushed = 0;
  /** Has not begun. */
  let next: Promise<void> | undefined;
  let asking = "";

  const lastWritten = (directory: string): number => written.get(directory) ?? 0;
  const run = async (): Promise<void> => {
    next = undefined;
    const began = clock.next();
    await sync(asking);
    flushed = began;
    for (const [directory, at] of written) if (at < began) written.delete(directory);
  };
  return {
    noteWritten: (directory) => void written.set(directory, clock.now()),
    noteFlushed(directory, began) {
      if (lastWritten(directory) < began) written.set(directory, never);
    },
    isFlushed: (directory) => lastWritten(directory) < flushed,
    flush(directory) {
      // Any of its folders will do, and this one is there.
      asking = directory;
      next ??= inTurn(run);
      return next;
    },
  };
}
