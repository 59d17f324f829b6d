/**
 * What a full or unwritable disk looks like to callers: `UNAVAILABLE`, with the system's own error as
 * the cause, so that an account that is not local yet can be served without storing.
 */
import { MailError } from "../errors.ts";

/** The disk refuses, and nobody else is to blame. */
export class StoreTrouble extends MailError {
  constructor(cause: unknown) {
    super("UNAVAILABLE", "the mail store cannot be used now", cause);
  }
}

/** The file of a message is gone, or is not what was written. */
export class MessageLost extends MailError {
  constructor(cause: unknown) {
    super("UNAVAILABLE", "the message cannot be read", cause);
  }
}

/** What a database says cannot be what was written to it. */
export class DamagedDatabase extends Error {
  override readonly name = "DamagedDatabase";
}

/** Primary result codes of SQLite that the disk is to blame for: PERM BUSY NOMEM READONLY IOERR FULL CANTOPEN. */
const sqliteDiskErrors: ReadonlySet<number> = new Set([3, 5, 7, 8, 10, 13, 14]);
const sqliteCorrupt = 11;
const sqliteNotADatabase = 26;

const diskErrors: ReadonlySet<string> = new Set(
  "EACCES EAGAIN EBUSY EDQUOT EFBIG EIO EMFILE ENFILE ENODEV ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS ESTALE ETXTBSY".split(
    " ",
  ),
);

export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** index.db or sidecar.db is damaged. */
export function isCorrupt(error: unknown): boolean {
  if (error instanceof DamagedDatabase) return true;
  const code = sqliteCode(error);
  return code === sqliteCorrupt || code === sqliteNotADatabase;
}

/** READONLY IOERR FULL CANTOPEN. */
const sqliteRefusals: ReadonlySet<number> = new Set([8, 10, 13, 14]);
const refusals: ReadonlySet<string> = new Set("EACCES EDQUOT EIO ENOSPC EPERM EROFS".split(" "));

/** A disk that is full, or that may not be written: it is so for a while, and for everything. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof StoreTrouble)) return false;
  const sqlite = sqliteCode(error.cause);
  return sqlite === undefined ? refusals.has(errorCode(error.cause) ?? "") : sqliteRefusals.has(sqlite);
}

/** The same error, or UNAVAILABLE where the disk is to blame for it. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof MailError) return error;
  const sqlite = sqliteCode(error);
  const blamesDisk =
    sqlite === undefined ? diskErrors.has(errorCode(error) ?? "") : sqliteDiskErrors.has(sqlite);
  return blamesDisk || isCorrupt(error) ? new StoreTrouble(error) : error;
}

/** Runs `work`, its errors turned by `toStoreError`. */
export function storing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toStoreError(error);
  }
}

export async function storingAsync<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStoreError(error);
  }
}

function sqliteCode(error: unknown): number | undefined {
  if (errorCode(error) !== "ERR_SQLITE_ERROR") return undefined;
  const code = (error as { readonly errcode?: unknown }).errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}
