/**
 * Writes dovecot-uidlist (and dovecot-keywords, when it is behind) under Dovecot's lock: a line for each
 * message whose file is here, ascending. Written anew to a temporary file and renamed.
 */
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { maxUid, type Uid, uid } from "../mail/ids.ts";
import { acquireDotlock, type Dotlock, uidlistLock } from "./dotlock.ts";
import {
  formatUidlistHeader,
  formatUidlistRecord,
  parseUidlistHeader,
  type UidlistHeader,
} from "./dovecot-uidlist.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import { baseOf } from "./maildir-name.ts";
import type { Pop3FieldsOf } from "./pop3-fields.ts";
import type { MailboxRecord, StoredMessage } from "./store.ts";
import { errorCode } from "./store-errors.ts";
import { syncPath } from "./sync-path.ts";

const linesPerWrite = 5_000;
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
  const { folder, mailbox, guid, messages, signal } = checkpoint;
  if (mailbox.uidValidity === undefined) return;
  const path = join(folder.path, "dovecot-uidlist");
  const lock = await acquireDotlock(path, uidlistLock, signal);
  try {
    folder.keywords.write();
    const header = await nextHeader(path, { ...mailbox, uidValidity: mailbox.uidValidity }, guid, messages);
    const temporary = `${path}.tmp`;
    const file = await open(temporary, "w", 0o600);
    try {
      await writeLines(file, header, checkpoint, lock);
      if (folder.isLocal) await file.sync();
    } catch (error) {
      await unlink(temporary);
      throw error;
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    folder.wrote();
    if (folder.isLocal) syncPath(folder.path);
  } finally {
    lock.release();
  }
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
  const path = join(folder.path, "dovecot-uidlist");
  const lock = await acquireDotlock(path, uidlistLock, signal);
  try {
    folder.keywords.write();
    const header = await readHeader(path);
    const isNew = header?.uidValidity !== mailbox.uidValidity;
    const lines = [...names].map(([number, name]) =>
      formatUidlistRecord({ uid: number, fields: fieldsOf(number), fileName: baseOf(name) }),
    );
    const { uidValidity, uidNext } = mailbox;
    const head = isNew ? formatUidlistHeader({ uidValidity, uidNext, guid, otherFields: [] }) : "";
    await using file = await open(path, isNew ? "w" : "a", 0o600);
    const { size } = await file.stat();
    try {
      await file.writeFile(head + lines.join(""), "latin1");
      await file.datasync();
      folder.wrote();
    } catch (error) {
      // Half a line would join with the next one, and Dovecot throw the whole list away.
      await file.truncate(size);
      throw error;
    }
    if (isNew) syncPath(folder.path);
  } finally {
    lock.release();
  }
}

async function writeLines(
  file: FileHandle,
  header: UidlistHeader,
  { messages, fieldsOf }: Checkpoint,
  lock: Dotlock,
): Promise<void> {
  await file.write(formatUidlistHeader(header));
  for (let from = 0; from < messages.length; from += linesPerWrite) {
    let lines = "";
    for (const message of messages.slice(from, from + linesPerWrite)) {
      // Dovecot takes 2^32-1 for damage and would throw the whole list away.
      if (message.presence !== "full" || message.uid >= maxUid) continue;
      const { uid: number, fileName } = message;
      lines += formatUidlistRecord({ uid: number, fields: fieldsOf(number), fileName: baseOf(fileName) });
    }
    if (lines !== "") await file.writeFile(lines, "latin1");
    lock.touch();
  }
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

/** What the list of this UIDVALIDITY tells; 1 where there is none. */
export async function writtenUidNext({ path, uidValidity }: MailboxFolder): Promise<Uid> {
  const header = await readHeader(join(path, "dovecot-uidlist"));
  return header && header.uidValidity === uidValidity ? header.uidNext : uid(1);
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
