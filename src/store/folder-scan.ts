/**
 * Looks at a mailbox's folder and brings `files` in step with it. Files that others put there are noted and left
 * alone, but for those of a local mailbox that are messages already; files of an earlier UIDVALIDITY (a reset was cut
 * off) are removed; of two files of one message the whole and younger one stays. While mail is being filed and renamed,
 * a listing can be old by the time it is read: where it contradicts what is known, the file itself is looked at.
 */
import { existsSync, readdirSync, renameSync, type Stats, statSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import type { Uid } from "../mail/ids.ts";
import { changeFolder, noteScan } from "./folder-changes.ts";
import {
  curPath,
  isOthers,
  type MailboxFolder,
  makeFolder,
  removeFile,
  uidOfFile,
} from "./mailbox-folder.ts";
import { baseOf, parseMaildirName, withLetters } from "./maildir-name.ts";
import { errorCode, isRefusal, storing } from "./store-errors.ts";

/** Names read before others get a turn. */
const namesPerTurn = 1_000;

export async function scanFolder(folder: MailboxFolder): Promise<void> {
  if (!folder.scanned || !folder.isLocal) makeMissing(folder);
  if (folder.isLocal) noteScan(folder);
  folder.strangers.clear();
  await lookAtNew(folder);
  const seen = new Set<Uid>();
  const unknown: string[] = [];
  /** All messages have their files by then: another with a name of ours was expunged once, and put back. */
  const isOpen = folder.isLocal && folder.scanned;
  await eachName(folder, "cur", (name) => {
    const parsed = parseMaildirName(name);
    if (parsed?.mailbox === folder.id && parsed.uidValidity !== folder.uidValidity && !folder.isLocal) {
      removeFile(folder, name);
      return;
    }
    const uid = isPlain(name) ? uidOfFile(folder, name) : undefined;
    const known = uid === undefined ? undefined : folder.files.get(uid);
    if (uid === undefined || (isOpen && known === undefined)) {
      unknown.push(name);
      return;
    }
    seen.add(uid);
    if (known === undefined) folder.files.set(uid, name);
    else if (known !== name) settleDouble(folder, uid, known, name);
  });
  await placeUnknown(folder, unknown);
  await dropMissing(folder, seen);
  for (const path of folder.unreadable) if (!folder.strangers.has(path)) folder.unreadable.delete(path);
  folder.scanned = true;
}

/** Only such names are those of messages: all others are bytes that no string of ours can hold. */
export function isPlain(name: string): boolean {
  return /^[\x20-\x7e]+$/.test(name);
}

/**
 * Notes the files of `uids` that a mail reader on this machine has renamed, and tells their names. Synchronous:
 * it runs only when a file is not where it was.
 */
export function findRenamed(folder: MailboxFolder, uids: readonly Uid[]): ReadonlyMap<Uid, string> {
  const wanted = new Set(uids);
  const found = new Map<Uid, string>();
  for (const name of readdirSync(join(folder.path, "cur"), "latin1")) {
    const uid = isPlain(name) ? uidOfFile(folder, name) : undefined;
    if (uid === undefined || !wanted.has(uid)) continue;
    folder.files.set(uid, name);
    found.set(uid, name);
  }
  return found;
}

/** A file of ours there (a restored backup) is moved: messages are in cur/. Of a local mailbox others' are noted. */
async function lookAtNew(folder: MailboxFolder): Promise<void> {
  await eachName(folder, "new", (name) => {
    const parsed = parseMaildirName(name);
    if (parsed?.mailbox === folder.id && isPlain(name)) {
      const to = curPath(folder, withLetters(baseOf(name), parsed.letters));
      changeFolder(folder, () => renameSync(join(folder.path, "new", name), to));
      folder.wrote();
    } else if (folder.isLocal) folder.strangers.add(join("new", name));
  });
}

/** At the opening of a local mailbox dovecot-uidlist tells which of them are messages. */
async function placeUnknown(folder: MailboxFolder, names: readonly string[]): Promise<void> {
  const { listed, others, files, freshFrom } = folder;
  const isOpening = folder.isLocal && !folder.scanned && freshFrom !== undefined;
  if (isOpening && names.length > 0) await listed.read(folder.path, folder.uidValidity);
  for (const name of names) {
    const line = isOpening && isPlain(name) ? listed.lines.get(baseOf(name)) : undefined;
    const isKnown = line !== undefined && line.uid < (freshFrom ?? 0);
    const present = isKnown ? files.get(line.uid) : undefined;
    // It was about to get a name of ours when a kill came (see name-as-ours.ts).
    if (present !== undefined && wholeFile(folder, present)) removeFile(folder, name);
    else if (isKnown && present === undefined) {
      others.set(baseOf(name), line);
      listed.lines.delete(baseOf(name));
      files.set(line.uid, name);
    } else folder.strangers.add(join("cur", name));
  }
}

/** A file that is renamed while the folder is listed can be left out: only who is left out twice is missing. */
async function dropMissing(folder: MailboxFolder, seen: ReadonlySet<Uid>): Promise<void> {
  const { files } = folder;
  const missing = new Set<Uid>();
  for (const [uid, name] of files) if (!seen.has(uid) && !existsSync(curPath(folder, name))) missing.add(uid);
  if (missing.size === 0) return;
  if (folder.isLocal) {
    await eachName(folder, "cur", (name) => {
      const uid = isPlain(name) ? uidOfFile(folder, name) : undefined;
      if (uid !== undefined && missing.delete(uid)) files.set(uid, name);
    });
  }
  for (const uid of missing) {
    folder.others.delete(baseOf(files.get(uid) ?? ""));
    files.delete(uid);
  }
}

function settleDouble(folder: MailboxFolder, uid: Uid, known: string, other: string): void {
  if (isOthers(folder, other)) {
    settleOthers(folder, uid, known, other);
    return;
  }
  const knownStat = wholeFile(folder, known);
  const otherStat = wholeFile(folder, other);
  const keepOther = otherStat && (!knownStat || otherStat.ctimeMs > knownStat.ctimeMs);
  const [keep, drop] = keepOther ? [other, known] : [known, other];
  removeFile(folder, drop);
  folder.files.set(uid, keep);
}

function wholeFile(folder: MailboxFolder, name: string): Stats | undefined {
  const stat = statSync(curPath(folder, name), { throwIfNoEntry: false });
  return stat?.size === parseMaildirName(name)?.sizeBytes ? stat : undefined;
}

/** Others' mail is never removed but where it is the same file. */
function settleOthers(folder: MailboxFolder, uid: Uid, known: string, other: string): void {
  const [knownStat, otherStat] = [known, other].map((name) =>
    statSync(curPath(folder, name), { throwIfNoEntry: false }),
  );
  if (!knownStat) folder.files.set(uid, other);
  else if (otherStat?.ino === knownStat.ino) removeFile(folder, other);
  else if (otherStat) folder.strangers.add(join("cur", other));
}

/** But those with a dot first, as Dovecot does; a character of a name is a byte. */
async function eachName(
  folder: MailboxFolder,
  sub: "cur" | "new",
  visit: (name: string) => void,
): Promise<void> {
  const entries = await opendir(join(folder.path, sub), {
    encoding: "latin1",
    bufferSize: namesPerTurn,
  }).catch((error: unknown) => {
    // A full disk has not taken it.
    if (folder.isLocal || errorCode(error) !== "ENOENT") throw error;
  });
  if (!entries) return;
  for await (const { name } of entries) if (!name.startsWith(".")) visit(name);
}

/** What a full disk does not take of a mailbox that is not local is served without it. */
function makeMissing(folder: MailboxFolder): void {
  if (["cur", "new"].every((sub) => existsSync(join(folder.path, sub)))) return;
  try {
    storing(() => makeFolder(folder.path, false));
    folder.wrote();
  } catch (error) {
    if (folder.isLocal || !isRefusal(error)) throw error;
  }
}
