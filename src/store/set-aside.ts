import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Uid } from "../mail/ids.ts";
import { changeFolder } from "./folder-changes.ts";
import { curPath, type MailboxFolder } from "./mailbox-folder.ts";
import { baseOf } from "./maildir-name.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";

/** What was written is not what is there; or it is, and the old server has it no more. */
export type AsidePlace = "damaged" | "lost";

/**
 * Takes a message's file out of the mailbox and keeps it in `<account>/damaged/` or `lost/`: it may be all that is left
 * of the message.
 */
export function setAside(
  { directory, logger, flusher, cache }: StoreContext,
  folder: MailboxFolder,
  uid: Uid,
  place: AsidePlace = "damaged",
): void {
  const name = folder.files.get(uid);
  if (name === undefined) return;
  const to = join(directory, place, name);
  mkdirSync(join(directory, place), { recursive: true, mode: 0o700 });
  try {
    changeFolder(folder, () => renameSync(curPath(folder, name), to));
    flusher.wrote();
    logger.error({ file: curPath(folder, name), to }, `${place} message file put aside`);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  folder.files.delete(uid);
  cache.forget(folder.id, uid);
  folder.others.delete(baseOf(name));
}
