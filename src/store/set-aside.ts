import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Uid } from "../mail/ids.ts";
import { curPath, type MailboxFolder } from "./mailbox-folder.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";

/**
 * Takes a message's file, which is not what was written, out of the mailbox and keeps it in
 * `<account>/damaged/`: it may be all that is left of the message.
 */
export function setAside(
  { directory, logger, flusher }: StoreContext,
  folder: MailboxFolder,
  uid: Uid,
): void {
  const name = folder.files.get(uid);
  if (name === undefined) return;
  const to = join(directory, "damaged", name);
  mkdirSync(join(directory, "damaged"), { recursive: true, mode: 0o700 });
  try {
    renameSync(curPath(folder, name), to);
    flusher.wrote();
    logger.error({ file: curPath(folder, name), to }, "damaged message file put aside");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  folder.files.delete(uid);
}
