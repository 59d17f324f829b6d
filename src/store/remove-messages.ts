/**
 * Files go before rows: after a kill in between a message is `meta` again and its removal is found out
 * anew; a file without a row would look like new mail to Dovecot.
 */

import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Uid } from "../mail/ids.ts";
import { scanFolder } from "./folder-scan.ts";
import { curPath, type MailboxFolder, removeIfThere } from "./mailbox-folder.ts";
import type { StoreContext } from "./store-context.ts";

/** The writer is everybody's: others' mail goes in between. */
const filesPerJob = 500;
/** Rows removed before others get a turn. */
const rowsPerTurn = 2_000;

export async function removeMessages(
  { database, index, sidecar, writer }: StoreContext,
  folder: MailboxFolder,
  uids: readonly Uid[],
): Promise<void> {
  const { uidValidity } = folder;
  const paths: string[] = [];
  for (const uid of uids) {
    const name = folder.files.get(uid);
    if (name === undefined) continue;
    paths.push(curPath(folder, name));
    folder.files.delete(uid);
  }
  for (let from = 0; from < paths.length; from += filesPerJob) {
    await writer.run({ kind: "remove", paths: paths.slice(from, from + filesPerJob) });
  }
  for (let from = 0; from < uids.length && folder.uidValidity === uidValidity; from += rowsPerTurn) {
    if (from > 0) await nextTurn();
    database.transaction(() => {
      for (const uid of uids.slice(from, from + rowsPerTurn)) {
        index.removeMessage(folder.id, uid);
        sidecar.removeExtras(folder.id, uid);
      }
    });
  }
}

/** After a reset: all files of ours are of an earlier UIDVALIDITY, and so is the uidlist. */
export async function removeMailboxFiles(folder: MailboxFolder): Promise<void> {
  removeIfThere(join(folder.path, "dovecot-uidlist"));
  await scanFolder(folder);
}
