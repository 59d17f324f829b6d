/**
 * A filed message as MessageContent. A small one is read whole at once: a file of some KB in the page
 * cache costs a fraction of an asynchronous read that way. A big one stays open and is read in pieces.
 */
import { closeSync, constants, fstatSync, openSync, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { MailError } from "../errors.ts";
import type { MessageContent } from "../mail/message.ts";
import { contentOf } from "../mail/message-content.ts";
import { storingAsync } from "./store-errors.ts";

const readAsync = promisify(read);

export const readWholeUpToBytes = 256 << 10;

/** What a link leads to may be anybody's; what is no file must not be waited for. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Throws what `open` throws; DamagedFileError where the file is not as long as its name says, if it says that. */
export function openMessageFile(path: string, expectedBytes?: number): MessageContent {
  const file = openSync(path, openFlags);
  let keepOpen = false;
  try {
    const { size } = fstatSync(file);
    const sizeBytes = expectedBytes ?? size;
    if (size !== sizeBytes) throw new DamagedFileError(path, size);
    if (sizeBytes <= readWholeUpToBytes) return contentOf(readWhole(file, sizeBytes, path));
    keepOpen = true;
    return fileContent(file, sizeBytes);
  } finally {
    if (!keepOpen) closeSync(file);
  }
}

/** The file is not what was written: cut off by a power failure, or changed by somebody. */
export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";

  constructor(path: string, size: number) {
    super(`${path} is damaged: it has ${size} bytes`);
  }
}

/** Bytes start..end-1 of an open file; rejects when they are not there. */
export async function readFrom(file: number, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.max(0, end - start));
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await readPiece(file, bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new MailError("UNAVAILABLE", "the message file ends too early");
    done += bytesRead;
  }
  return bytes;
}

async function readPiece(file: number, into: Buffer, offset: number, length: number, position: number) {
  return storingAsync(() => readAsync(file, into, offset, length, position));
}

function fileContent(file: number, sizeBytes: number): MessageContent {
  let open = true;
  let reading = 0;
  // A descriptor closed under a running read could be somebody else's by then.
  const closeWhenIdle = (): void => {
    if (!open && reading === 0) closeSync(file);
  };
  return {
    sizeBytes,
    async read(start, end) {
      if (!open) throw new Error("read of a closed message");
      reading++;
      try {
        return await readFrom(file, start, Math.min(end, sizeBytes));
      } finally {
        reading--;
        closeWhenIdle();
      }
    },
    close() {
      if (!open) return;
      open = false;
      closeWhenIdle();
    },
  };
}

function readWhole(file: number, sizeBytes: number, path: string): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let done = 0; done < sizeBytes; ) {
    const count = readSync(file, bytes, done, sizeBytes - done, done);
    if (count === 0) throw new DamagedFileError(path, done);
    done += count;
  }
  return bytes;
}
