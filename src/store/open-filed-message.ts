import type { MessageContent } from "../mail/message.ts";
import { crlfContent } from "./crlf-content.ts";
import { forgetOthers } from "./dropped-mail.ts";
import { findRenamed } from "./folder-scan.ts";
import { curPath, hasFile, isOthers, type MailboxFolder } from "./mailbox-folder.ts";
import { parseMaildirName } from "./maildir-name.ts";
import { DamagedFileError, openMessageFile } from "./message-file.ts";
import type { StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode, MessageLost } from "./store-errors.ts";

/**
 * Opens a message's file; the name that the caller kept may be from before a change of flags. Throws
 * MessageLost for a file that is gone or not as long as it was, which makes the message `meta` at the next load.
 */
export function openFiledMessage(
  { index, logger }: StoreContext,
  folder: MailboxFolder,
  { uid, fileName: kept, sizeBytes }: StoredMessage & { presence: "full" },
): MessageContent {
  const fileName = folder.files.get(uid) ?? kept;
  try {
    return openNamed(folder, fileName, sizeBytes);
  } catch (error) {
    const path = curPath(folder, fileName);
    const other = errorCode(error) === "ENOENT" ? findRenamed(folder, [uid]).get(uid) : undefined;
    if (other !== undefined) return openNamed(folder, other, sizeBytes);
    const damaged = error instanceof DamagedFileError;
    if (!damaged && errorCode(error) !== "ENOENT") throw error;
    if (damaged) logger.error({ err: error, file: path }, "message file is damaged");
    // Whether it ought to be there the caller knows: another session may have expunged it.
    else logger.debug({ err: error, file: path }, "message file is missing");
    // Others' mail that has changed is another message.
    if (damaged && isOthers(folder, fileName)) forgetOthers(folder, uid);
    else if (damaged) index.setVerifiedBoot(folder.id, undefined);
    else if (!hasFile(folder, uid, fileName)) folder.files.delete(uid);
    throw new MessageLost(error);
  }
}

/** `sizeBytes`: RFC822.SIZE, which for a file that others have named is its length with CRLF line ends. */
function openNamed(folder: MailboxFolder, fileName: string, sizeBytes: number): MessageContent {
  const path = curPath(folder, fileName);
  if (!isOthers(folder, fileName)) {
    const named = parseMaildirName(fileName);
    if (!named) throw new Error(`${fileName} is no name of ours`);
    return openMessageFile(path, named.sizeBytes);
  }
  const file = openMessageFile(path);
  const content = crlfContent(file, sizeBytes);
  if (!content) throw new DamagedFileError(path, file.sizeBytes);
  return content;
}
