import { MailError } from "../errors.ts";
import type { MessageContent } from "../mail/message.ts";
import { curPath, hasFile, type MailboxFolder } from "./mailbox-folder.ts";
import { parseMaildirName } from "./maildir-name.ts";
import { DamagedFileError, openMessageFile } from "./message-file.ts";
import type { StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";

/**
 * Opens a message's file; the name that the caller kept may be from before a change of flags. A file
 * that is gone or not as long as it was makes the message `meta` at the next load.
 */
export function openFiledMessage(
  { index, logger }: StoreContext,
  folder: MailboxFolder,
  { uid, fileName: kept }: StoredMessage & { presence: "full" },
): MessageContent {
  const fileName = folder.files.get(uid) ?? kept;
  const sizeBytes = parseMaildirName(fileName)?.sizeBytes;
  if (sizeBytes === undefined) throw new Error(`${fileName} is no name of ours`);
  const path = curPath(folder, fileName);
  try {
    return openMessageFile(path, sizeBytes);
  } catch (error) {
    const damaged = error instanceof DamagedFileError;
    if (!damaged && errorCode(error) !== "ENOENT") throw error;
    logger.error({ err: error, file: path }, "message file is missing or damaged");
    if (damaged) index.setVerifiedBoot(folder.id, undefined);
    else if (!hasFile(folder, uid, fileName)) folder.files.delete(uid);
    throw new MailError("UNAVAILABLE", "the message cannot be read", error);
  }
}
