/**
 * One mailbox's folder: its path, its keywords and which file each message has. `files` is filled by the
 * first scan and kept in step by whoever files, renames or removes; a UID has at most one file.
 */
import { existsSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Flags } from "../mail/flags.ts";
import type { MailboxId, Uid, UidValidity } from "../mail/ids.ts";
import type { Dotlock } from "./dotlock.ts";
import { foreignLetters } from "./flag-letters.ts";
import { changeFolder, type SeenFolder } from "./folder-changes.ts";
import type { KeywordTable } from "./keyword-table.ts";
import { baseOf, lettersOf, type MessageIdentity, parseMaildirName, withLetters } from "./maildir-name.ts";
import type { OthersLine, OthersLines } from "./others-lines.ts";
import { errorCode } from "./store-errors.ts";

export interface MailboxFolder {
  readonly id: MailboxId;
  /** Absolute; another one when the mailbox was renamed. */
  path: string;
  readonly keywords: KeywordTable;
  /** Names in cur/, by UID. */
  readonly files: Map<Uid, string>;
  /** Changes when the mailbox is reset: files of the one before are rubbish. */
  uidValidity: UidValidity | undefined;
  scanned: boolean;
  /** See StoreContext. */
  readonly isLocal: boolean;
  /** See FolderFlusher: called after a file of it was made, renamed or removed. */
  readonly wrote: () => void;
  /**
   * Files that are no messages here, as the last scan found them: paths below the folder, a character a byte. In new/
   * only those of a local mailbox.
   */
  readonly strangers: Set<string>;
  /** Of those: what could not be read. */
  readonly unreadable: Set<string>;
  /** Local: messages whose files others have named, by base name. */
  readonly others: Map<string, OthersLine>;
  /** Local: what dovecot-uidlist says of such files. */
  readonly listed: OthersLines;
  /** Local: UIDNEXT at the opening, until what others have put there since is taken. */
  freshFrom: Uid | undefined;
  /** Local: messages that may not have been whole when they were taken, until they are. */
  readonly young: Map<Uid, YoungFile>;
  readonly seen: SeenFolder;
  /** Keyword letters in names that dovecot-keywords does not explain, and since when. */
  readonly oddLetters: Map<string, number>;
  /** dovecot-uidlist's, while one of us has it. */
  lock: Dotlock | undefined;
}

export interface YoungFile {
  readonly version: string;
  readonly takenAt: number;
}

export const messageFolders = ["cur", "new", "tmp"] as const;

/** Which message of the mailbox a file in cur/ is, by its name. */
export function uidOfFile(folder: MailboxFolder, fileName: string): Uid | undefined {
  const parsed = parseMaildirName(fileName);
  if (parsed?.mailbox === folder.id && parsed.uidValidity === folder.uidValidity) return parsed.uid;
  return folder.others.get(baseOf(fileName))?.uid;
}

/** Whether others have named it: such a file is served with CRLF line ends, as Dovecot serves it. */
export function isOthers(folder: MailboxFolder, fileName: string): boolean {
  return folder.others.has(baseOf(fileName));
}

/** Makes what is missing. `isRoot`: INBOX has no `maildirfolder` file. */
export function makeFolder(path: string, isRoot: boolean): void {
  for (const name of messageFolders) mkdirSync(join(path, name), { recursive: true, mode: 0o700 });
  if (!isRoot) writeFileSync(join(path, "maildirfolder"), "", { flag: "a", mode: 0o600 });
}

export function curPath(folder: MailboxFolder, fileName: string): string {
  return join(folder.path, "cur", fileName);
}

export function identityIn(folder: MailboxFolder, uid: Uid): MessageIdentity | undefined {
  const { id: mailbox, uidValidity } = folder;
  return uidValidity === undefined ? undefined : { mailbox, uidValidity, uid };
}

/** Whether a name that a caller kept is one of this mailbox under its present UIDVALIDITY, and there. */
export function hasFile(folder: MailboxFolder, uid: Uid, fileName: string): boolean {
  return uidOfFile(folder, fileName) === uid && existsSync(curPath(folder, fileName));
}

/** Notes that a file has come; one that the message had under another name goes. */
export function noteFile(folder: MailboxFolder, uid: Uid, fileName: string): void {
  const before = folder.files.get(uid);
  folder.files.set(uid, fileName);
  folder.wrote();
  if (before !== undefined && before !== fileName) removeFile(folder, before);
}

/** Renames the message's file so that it says `flags`; undefined when it has none (any more). */
export function renameForFlags(folder: MailboxFolder, uid: Uid, flags: Flags): string | undefined {
  const before = folder.files.get(uid);
  if (before === undefined) return undefined;
  const { letters } = folder.keywords.letters(flags);
  const present = lettersOf(before);
  if (present === letters) return before;
  const after = withLetters(before, [...letters, ...foreignLetters(present)].sort().join(""));
  if (after === before) return before;
  try {
    changeFolder(folder, () => renameSync(curPath(folder, before), curPath(folder, after)));
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    folder.files.delete(uid);
    return undefined;
  }
  folder.wrote();
  folder.files.set(uid, after);
  return after;
}

/** Of cur/, where it is there. */
export function removeFile(folder: MailboxFolder, fileName: string): void {
  changeFolder(folder, () => removeIfThere(curPath(folder, fileName)));
  folder.wrote();
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
