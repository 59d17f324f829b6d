/**
 * Files go before rows: after a kill in between a message is `meta` again and its removal is found out
 * anew; a file without a row would look like new mail to Dovecot.
 */

import { basename, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Uid } from "../mail/ids.ts";
import { beforeChange } from "./folder-changes.ts";
import { findRenamed, scanFolder } from "./folder-scan.ts";
import { curPath, type MailboxFolder, removeIfThere } from "./mailbox-folder.ts";
import { baseOf } from "./maildir-name.ts";
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
  const paths = new Map<string, Uid>();
  const gone = new Set<Uid>();
  for (const uid of uids) {
    const name = folder.files.get(uid);
    if (name === undefined) {
      gone.add(uid);
      continue;
    }
    paths.set(curPath(folder, name), uid);
    folder.files.delete(uid);
    folder.young.delete(uid);
  }
  const remove = async (all: readonly string[]): Promise<string[]> => {
    const missing: string[] = [];
    for (let from = 0; from < all.length; from += filesPerJob) {
      missing.push(...(await writer.run({ kind: "remove", paths: all.slice(from, from + filesPerJob) })));
    }
    return missing;
  };
  const noteChange = beforeChange(folder);
  const missing = await remove([...paths.keys()]);
  if (missing.length > 0) {
    // A mail reader on this machine may have renamed them; left, they would come back as new mail.
    const renamed = findRenamed(
      folder,
      missing.flatMap((path) => paths.get(path) ?? []),
    );
    for (const uid of renamed.keys()) folder.files.delete(uid);
    await remove([...renamed.values()].map((name) => curPath(folder, name)));
  }
  for (const path of paths.keys()) folder.others.delete(baseOf(basename(path)));
  if (gone.size > 0)
    for (const [base, { uid }] of folder.others) if (gone.has(uid)) folder.others.delete(base);
  if (paths.size > 0) noteChange();
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
  folder.wrote();
  await scanFolder(folder);
}
