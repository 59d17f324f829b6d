/**
 * Writes dovecot-uidlist (and dovecot-keywords, when it is behind) under Dovecot's lock: a line for each
 * message whose file is here, ascending. Written anew to a temporary file and renamed.
 */
import { type BigIntStats, statSync } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { maxUid, type Uid, uid } from "../mail/ids.ts";
import type { Dotlock } from "./dotlock.ts";
import {
  formatUidlistHeader,
  formatUidlistRecord,
  parseUidlistHeader,
  type UidlistHeader,
  type UidlistRecord,
} from "./dovecot-uidlist.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import { baseOf } from "./maildir-name.ts";
import { endOfRun, versionOf } from "./others-lines.ts";
import type { Pop3FieldsOf } from "./pop3-fields.ts";
import type { MailboxRecord, StoredMessage } from "./store.ts";
import { errorCode } from "./store-errors.ts";
import { syncPath } from "./sync-path.ts";
import { underUidlistLock } from "./uidlist-lock.ts";

const linesPerPiece = 5_000;
const maxHeaderBytes = 4096;

export interface Checkpoint {
  readonly folder: MailboxFolder;
  readonly mailbox: MailboxRecord;
  readonly guid: string;
  /** Ascending by UID. */
  readonly messages: readonly StoredMessage[];
  readonly fieldsOf: Pop3FieldsOf;
  readonly signal: AbortSignal;
}

/** Does nothing for a mailbox whose UIDVALIDITY is not known. */
export async function writeUidlist(checkpoint: Checkpoint): Promise<void> {
  await underLock(checkpoint, (path, pieces, lock) => replace(path, checkpoint, pieces(), lock));
}

/** Likewise, and nothing where it says that already. The version of the file; see `uidlistVersion`. */
export function updateUidlist(checkpoint: Checkpoint): Promise<string | undefined> {
  return underLock(
    checkpoint,
    async (path, pieces, lock) =>
      (await compare(path, pieces(), lock)) ?? replace(path, checkpoint, pieces(), lock),
  );
}

/** Of the list as it is: another one when anybody has written it since. undefined where there is none. */
export function uidlistVersion(folder: MailboxFolder): string | undefined {
  const stats = statSync(join(folder.path, "dovecot-uidlist"), { bigint: true, throwIfNoEntry: false });
  return stats && versionOf(stats);
}

async function underLock<T>(
  checkpoint: Checkpoint,
  work: (path: string, pieces: () => Iterable<string>, lock: Dotlock) => Promise<T>,
): Promise<T | undefined> {
  const { folder, mailbox, guid, messages, signal } = checkpoint;
  if (mailbox.uidValidity === undefined) return undefined;
  const { uidValidity } = mailbox;
  const path = join(folder.path, "dovecot-uidlist");
  return underUidlistLock(folder, signal, async (lock) => {
    folder.keywords.write();
    if (folder.isLocal) await folder.listed.read(folder.path, folder.uidValidity);
    const fresh = folder.isLocal ? freshLines(folder, mailbox.uidNext) : [];
    const header = await nextHeader(path, { ...mailbox, uidValidity }, guid, messages);
    const above = folder.isLocal ? Math.max(header.uidNext, folder.listed.uidNext) : header.uidNext;
    return work(path, () => piecesOf({ ...header, uidNext: uid(above) }, checkpoint, fresh), lock);
  });
}

/** What others have written that is not taken yet: new mail of a Dovecot beside us. */
function freshLines(folder: MailboxFolder, uidNext: Uid): readonly UidlistRecord[] {
  const from = folder.freshFrom ?? uidNext;
  return [...folder.listed.lines]
    .filter(([base, line]) => line.uid >= from && !folder.others.has(base))
    .map(([fileName, line]) => ({ ...line, fileName }))
    .sort((a, b) => a.uid - b.uid);
}

/** Gives its version. */
async function replace(
  path: string,
  { folder, mailbox }: Checkpoint,
  pieces: Iterable<string>,
  lock: Dotlock,
): Promise<string> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w", 0o600);
  let stats: BigIntStats;
  try {
    for (const piece of pieces) {
      await file.writeFile(piece, "latin1");
      lock.touch();
    }
    if (folder.isLocal) await file.sync();
    stats = await file.stat({ bigint: true });
  } catch (error) {
    await unlink(temporary);
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  folder.wrote();
  if (folder.isLocal) {
    syncPath(folder.path);
    folder.listed.noteWritten(stats, mailbox.uidNext);
  }
  return versionOf(stats);
}

/** The version of a file that says exactly this; undefined where it says anything else. */
async function compare(path: string, pieces: Iterable<string>, lock: Dotlock): Promise<string | undefined> {
  try {
    await using file = await open(path, "r");
    for (const piece of pieces) {
      const wanted = Buffer.from(piece, "latin1");
      if (!(await readNext(file, wanted.length)).equals(wanted)) return undefined;
      lock.touch();
    }
    const isLonger = (await readNext(file, 1)).length > 0;
    return isLonger ? undefined : versionOf(await file.stat({ bigint: true }));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** So many bytes, fewer at the end of the file. */
async function readNext(file: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let have = 0;
  while (have < length) {
    const { bytesRead } = await file.read(bytes, have, length - have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return bytes.subarray(0, have);
}

export interface UidlistAddition {
  readonly folder: MailboxFolder;
  readonly mailbox: MailboxRecord;
  readonly guid: string;
  /** Base names or names, ascending by UID, above all that are in the list. */
  readonly names: ReadonlyMap<Uid, string>;
  readonly fieldsOf: Pop3FieldsOf;
  readonly signal: AbortSignal;
}

/**
 * Adds lines to the list as it is, on stable storage when it resolves; makes the list where there is none
 * of this UIDVALIDITY.
 */
export async function appendToUidlist(addition: UidlistAddition): Promise<void> {
  const { folder, mailbox, guid, names, fieldsOf, signal } = addition;
  if (mailbox.uidValidity === undefined) throw new Error("a mailbox without UIDVALIDITY has no uidlist");
  const { uidValidity, uidNext } = mailbox;
  const path = join(folder.path, "dovecot-uidlist");
  await underUidlistLock(folder, signal, async () => {
    folder.keywords.write();
    await folder.listed.read(folder.path, folder.uidValidity);
    const isNew = folder.listed.endBytes === 0;
    const lines = [...names].map(([number, name]) =>
      formatUidlistRecord({ uid: number, fields: fieldsOf(number), fileName: baseOf(name) }),
    );
    const head = isNew ? formatUidlistHeader({ uidValidity, uidNext, guid, otherFields: [] }) : "";
    await using file = await open(path, isNew ? "w" : "a", 0o600);
    const size = isNew ? 0 : folder.listed.endBytes;
    // Half a line that a kill has left.
    await file.truncate(size);
    try {
      await file.writeFile(head + lines.join(""), "latin1");
      await file.datasync();
      folder.wrote();
    } catch (error) {
      // Half a line would join with the next one, and Dovecot throw the whole list away.
      await file.truncate(size);
      throw error;
    }
    folder.listed.noteWritten(await file.stat({ bigint: true }), Math.max(0, ...names.keys()) + 1);
    if (isNew) syncPath(folder.path);
  });
}

/** The list, made as it is asked for. */
function* piecesOf(
  header: UidlistHeader,
  { folder, messages, fieldsOf }: Checkpoint,
  fresh: readonly UidlistRecord[],
): Generator<string> {
  yield formatUidlistHeader(header);
  for (let from = 0; from < messages.length; from += linesPerPiece) {
    let lines = "";
    for (const message of messages.slice(from, from + linesPerPiece)) {
      // Dovecot takes 2^32-1 for damage and would throw the whole list away.
      if (message.presence !== "full" || message.uid >= maxUid) continue;
      const { uid: number } = message;
      const fileName = baseOf(message.fileName);
      const fields = withOthers(fieldsOf(number), folder.others.get(fileName)?.fields);
      lines += formatUidlistRecord({ uid: number, fields, fileName });
    }
    if (lines !== "") yield lines;
  }
  if (fresh.length > 0) yield fresh.map(formatUidlistRecord).join("");
}

/** What a Dovecot beside us has written of a file of its own stays, but for what POP3 clients know it by. */
function withOthers(fields: readonly string[], others: readonly string[] = []): readonly string[] {
  const kept = others.filter((other) => !fields.some((field) => field[0] === other[0]));
  return kept.length === 0 ? fields : [...fields, ...kept];
}

/** Under the same UIDVALIDITY the GUID stays, N never goes down and other fields are kept. */
async function nextHeader(
  path: string,
  { uidValidity, uidNext }: Pick<UidlistHeader, "uidValidity" | "uidNext">,
  guid: string,
  messages: readonly StoredMessage[],
): Promise<UidlistHeader> {
  const written = await readHeader(path);
  const before = written?.uidValidity === uidValidity ? written : undefined;
  const aboveAll = Math.min((messages.at(-1)?.uid ?? 0) + 1, maxUid);
  const next: Uid = uid(Math.max(uidNext, before?.uidNext ?? 1, aboveAll));
  return { uidValidity, uidNext: next, guid: before?.guid ?? guid, otherFields: before?.otherFields ?? [] };
}

/**
 * What the list of this UIDVALIDITY tells; 1 where there is none. `known`, where all that it tells above that is
 * new mail of a Dovecot beside us.
 */
export async function writtenUidNext(folder: MailboxFolder, known: Uid): Promise<Uid> {
  const header = await readHeader(join(folder.path, "dovecot-uidlist"));
  if (header?.uidValidity !== folder.uidValidity || header === undefined) return uid(1);
  if (header.uidNext <= known) return header.uidNext;
  await folder.listed.read(folder.path, folder.uidValidity);
  return endOfRun(folder.listed.lines, known) >= header.uidNext ? known : header.uidNext;
}

async function readHeader(path: string): Promise<UidlistHeader | undefined> {
  try {
    await using file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxHeaderBytes), 0, maxHeaderBytes, 0);
    const [line] = buffer.toString("latin1", 0, bytesRead).split("\n", 1);
    return parseUidlistHeader(line ?? "");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
