import type { MessageContent } from "../mail/message.ts";
import { findRenamed } from "./folder-scan.ts";
import { curPath, hasFile, type MailboxFolder } from "./mailbox-folder.ts";
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
  { uid, fileName: kept }: StoredMessage & { presence: "full" },
): MessageContent {
  const fileName = folder.files.get(uid) ?? kept;
  try {
    return openNamed(folder, fileName);
  } catch (error) {
    const path = curPath(folder, fileName);
    const other = errorCode(error) === "ENOENT" ? findRenamed(folder, [uid]).get(uid) : undefined;
    if (other !== undefined) return openNamed(folder, other);
    const damaged = error instanceof DamagedFileError;
    if (!damaged && errorCode(error) !== "ENOENT") throw error;
    if (damaged) logger.error({ err: error, file: path }, "message file is damaged");
    // Whether it ought to be there the caller knows: another session may have expunged it.
    else logger.debug({ err: error, file: path }, "message file is missing");
    if (damaged) index.setVerifiedBoot(folder.id, undefined);
    else if (!hasFile(folder, uid, fileName)) folder.files.delete(uid);
    throw new MessageLost(error);
  }
}

function openNamed(folder: MailboxFolder, fileName: string): MessageContent {
  const sizeBytes = parseMaildirName(fileName)?.sizeBytes;
  if (sizeBytes === undefined) throw new Error(`${fileName} is no name of ours`);
  return openMessageFile(curPath(folder, fileName), sizeBytes);
}
