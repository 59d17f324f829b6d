/**
 * A message that arrives in pieces: one tmp file, one writer, any number of readers behind it. They
 * share the file descriptor, which goes on being good when the file is renamed or unlinked and is closed
 * when the writer has ended and the last reader has closed. A reader waits for the bytes it asked for;
 * when they will never come, it gets the reason.
 */
import { closeSync, fsync, futimesSync, openSync, renameSync, unlinkSync, write } from "node:fs";
import { promisify } from "node:util";
import type { MessageContent } from "../mail/message.ts";
import { createBareLfCounter } from "./bare-lf.ts";
import { readFrom } from "./message-file.ts";
import { errorCode, storingAsync } from "./store-errors.ts";

const writeAsync = promisify(write);
const fsyncAsync = promisify(fsync);

export interface Spool {
  write(chunk: Buffer): Promise<void>;
  /** Throws once it was dropped and the last reader has closed. */
  open(): MessageContent;
  /** Bytes with every bare LF counted as CRLF; final when all are written. */
  readonly crlfBytes: number;
  /** Resolves when what was written is on stable storage. */
  sync(): Promise<void>;
  /** Gives the file its mtime and its name. All bytes must have been written. */
  commit(path: string, epochSeconds: number): void;
  abort(reason: unknown): void;
}

interface Waiter {
  readonly end: number;
  readonly proceed: () => void;
  readonly fail: (reason: unknown) => void;
}

export function createSpool(temporaryPath: string, sizeBytes: number): Spool {
  const file = openSync(temporaryPath, "wx+", 0o600);
  const bareLf = createBareLfCounter();
  const waiters = new Set<Waiter>();
  /** Why bytes that are not here yet will never come. */
  let failure: { readonly reason: unknown } | undefined;
  let ended = false;
  let written = 0;
  let lastWrite: Promise<void> = Promise.resolve();
  let users = 1;

  const leave = (): void => {
    if (--users === 0) closeSync(file);
  };
  const fail = (reason: unknown): void => {
    failure ??= { reason };
    for (const waiter of waiters) waiter.fail(reason);
    waiters.clear();
  };
  const append = async (chunk: Buffer): Promise<void> => {
    if (failure) throw failure.reason;
    if (written + chunk.length > sizeBytes)
      throw new RangeError(`more than the ${sizeBytes} bytes announced`);
    await storingAsync(() => writeAll(file, chunk, written));
    bareLf.add(chunk);
    written += chunk.length;
    for (const waiter of [...waiters]) {
      if (waiter.end > written) continue;
      waiters.delete(waiter);
      waiter.proceed();
    }
  };
  const arrived = (end: number): Promise<void> => {
    if (end <= written) return Promise.resolve();
    if (failure) return Promise.reject(failure.reason);
    return new Promise((proceed, reject) => waiters.add({ end, proceed, fail: reject }));
  };

  return {
    get crlfBytes() {
      return written + bareLf.count;
    },
    write(chunk) {
      users++;
      const done = lastWrite.then(() => append(chunk)).finally(leave);
      lastWrite = done.catch(fail);
      return done;
    },
    sync: () => storingAsync(() => fsyncAsync(file)),
    open() {
      if (users === 0) throw new Error("the message was dropped before");
      users++;
      return readerOf({ file, sizeBytes, arrived, leave });
    },
    commit(path, epochSeconds) {
      if (ended) throw new Error("the message was committed or dropped before");
      if (written !== sizeBytes) throw new RangeError(`${written} of ${sizeBytes} bytes were written`);
      futimesSync(file, epochSeconds, epochSeconds);
      renameSync(temporaryPath, path);
      ended = true;
      leave();
    },
    abort(reason) {
      if (ended) return;
      ended = true;
      fail(reason);
      unlinkIfThere(temporaryPath);
      leave();
    },
  };
}

interface ReaderParts {
  readonly file: number;
  readonly sizeBytes: number;
  readonly arrived: (end: number) => Promise<void>;
  readonly leave: () => void;
}

function readerOf({ file, sizeBytes, arrived, leave }: ReaderParts): MessageContent {
  let open = true;
  let reading = 0;
  const leaveWhenIdle = (): void => {
    if (!open && reading === 0) leave();
  };
  return {
    sizeBytes,
    async read(start, end) {
      if (!open) throw new Error("read of a closed message");
      reading++;
      try {
        await arrived(Math.min(end, sizeBytes));
        return await readFrom(file, start, Math.min(end, sizeBytes));
      } finally {
        reading--;
        leaveWhenIdle();
      }
    },
    close() {
      if (!open) return;
      open = false;
      leaveWhenIdle();
    },
  };
}

async function writeAll(file: number, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await writeAsync(file, bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
