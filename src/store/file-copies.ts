/**
 * Files messages whose bytes are here already, in another mailbox or in this one (same EMAILID, same size): by
 * a hard link, or by a copy where INTERNALDATE, which is the file's mtime, differs.
 */
import { constants, linkSync, renameSync, statSync, utimesSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { MailboxId, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { wasReset } from "./file-messages.ts";
import {
  curPath,
  identityIn,
  type MailboxFolder,
  noteFile,
  removeFile,
  removeIfThere,
} from "./mailbox-folder.ts";
import { formatMaildirName, identityName, type MaildirName, parseMaildirName } from "./maildir-name.ts";
import { putExtras } from "./save-messages.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";

/** Messages looked at before others get a turn. */
const messagesPerTurn = 50;

interface Original {
  readonly path: string;
  readonly name: MaildirName;
  readonly hasDate: boolean;
}

/** The names of the files made, by UID: of the messages that are not among them nothing is here. */
export async function fileCopies(
  context: StoreContext,
  folder: MailboxFolder,
  messages: readonly MessageMeta[],
  folderOf: (id: MailboxId) => MailboxFolder | undefined,
  nextTemporary: () => number,
): Promise<Map<Uid, string>> {
  const { uidValidity } = folder;
  const filed = new Map<Uid, string>();
  for (const [index, meta] of messages.entries()) {
    if (index % messagesPerTurn === messagesPerTurn - 1) await nextTurn();
    const original = findOriginal(context, meta, folderOf);
    if (!original) continue;
    // The row comes before the file, as with every other.
    context.database.transaction(() => putExtras(context, folder, meta));
    const name = await fileCopy(folder, meta, original, nextTemporary);
    if (folder.uidValidity !== uidValidity) {
      removeFile(folder, name);
      throw wasReset();
    }
    noteFile(folder, meta.uid, name);
    filed.set(meta.uid, name);
  }
  folder.keywords.flush();
  return filed;
}

/** Rather one that can be linked to. */
function findOriginal(
  { index }: StoreContext,
  { emailId, sizeBytes, internalDate }: MessageMeta,
  folderOf: (id: MailboxId) => MailboxFolder | undefined,
): Original | undefined {
  if (emailId === undefined) return undefined;
  let found: Original | undefined;
  for (const { mailbox, uid } of index.sameContent(emailId, sizeBytes)) {
    const folder = folderOf(mailbox);
    const fileName = folder?.files.get(uid);
    if (!folder || fileName === undefined) continue;
    const path = curPath(folder, fileName);
    const stats = statSync(path, { throwIfNoEntry: false });
    const name = parseMaildirName(fileName);
    // A file that is gone or damaged is found out where it is read.
    if (!stats || stats.size !== name?.sizeBytes) continue;
    const hasDate = Math.floor(stats.mtimeMs / 1000) === internalDate.epochSeconds;
    if (hasDate) return { path, name, hasDate };
    found ??= { path, name, hasDate };
  }
  return found;
}

async function fileCopy(
  folder: MailboxFolder,
  meta: MessageMeta,
  original: Original,
  nextTemporary: () => number,
): Promise<string> {
  const { path, hasDate } = original;
  const { epochSeconds } = meta.internalDate;
  const identity = identityIn(folder, meta.uid);
  if (!identity) throw wasReset();
  const { letters } = folder.keywords.letters(meta.flags);
  const name = formatMaildirName({ ...original.name, ...identity, letters });
  const target = curPath(folder, name);
  if (hasDate && linked(path, target)) return name;
  const temporary = join(folder.path, "tmp", `${identityName(identity)}.c${nextTemporary()}`);
  try {
    // Where the file system can, the copy shares the original's blocks.
    await copyFile(path, temporary, constants.COPYFILE_FICLONE);
    utimesSync(temporary, epochSeconds, epochSeconds);
    renameSync(temporary, target);
  } catch (error) {
    removeIfThere(temporary);
    throw error;
  }
  return name;
}

/** False where the file system has no hard links, or no more for this file. */
function linked(path: string, target: string): boolean {
  try {
    linkSync(path, target);
    return true;
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (code === "EEXIST") return true;
    if (["EMLINK", "EPERM", "ENOTSUP", "EXDEV"].includes(code)) return false;
    throw error;
  }
}
