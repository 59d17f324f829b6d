/** What a file is that somebody has put into a mailbox's folder. */
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { createBareLfCounter } from "./bare-lf.ts";

export interface DroppedFile {
  /** RFC822.SIZE: with CRLF line ends, which is how Dovecot serves it, too. */
  readonly sizeBytes: number;
  /** Its mtime. */
  readonly epochSeconds: number;
  /** Somebody may still be writing to it: what it was like. */
  readonly youngVersion: string | undefined;
}

const pieceBytes = 256 << 10;

/** Neither a link to another file, which may be anybody's, nor anything that is none. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Throws where it is not a file that can be read. */
export async function inspectFile(path: Buffer): Promise<DroppedFile> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) throw new Error("it is a symbolic link");
  if (!found.isFile()) throw new Error("it is not a file");
  await using file = await open(path, openFlags);
  const before = await file.stat({ bigint: true });
  const sizeBytes = await countBytes(file);
  return {
    sizeBytes,
    epochSeconds: Number(before.mtimeMs / 1000n),
    youngVersion: mayBeWritten(before) ? versionOfFile(before) : undefined,
  };
}

export function versionOfFile({ ino, size, mtimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs}`;
}

/**
 * A delivery agent renames or links a file that is whole, which changes its ctime alone, if not in the same tick of the
 * clock. Where ctime is the time of the last write, somebody may be writing in place.
 */
function mayBeWritten({ ctimeNs, mtimeNs, ctimeMs }: BigIntStats): boolean {
  return ctimeNs === mtimeNs && Math.abs(Date.now() - Number(ctimeMs)) < youngMs;
}

const youngMs = 2_000;

async function countBytes(file: FileHandle): Promise<number> {
  const counter = createBareLfCounter();
  const bytes = Buffer.allocUnsafe(pieceBytes);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(bytes, 0, pieceBytes, at);
    if (bytesRead === 0) return at + counter.count;
    counter.add(bytes.subarray(0, bytesRead));
    at += bytesRead;
  }
}
