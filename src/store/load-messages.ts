/**
 * All messages of a mailbox: the index's rows, with the files that are there. A file that the index does
 * not know is restored from its name, its mtime and the sidecar; one that the sidecar does not know
 * either is `remote` until its metadata are fetched again. Works in steps, so that a mailbox of some
 * hundred thousand messages does not hold up everybody else.
 */
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { modSeq, type Uid } from "../mail/ids.ts";
import { lowerBound } from "../mail/number-set.ts";
import { flagsOfLetters } from "./flag-letters.ts";
import { noteDoubt } from "./folder-changes.ts";
import { findRenamed, scanFolder } from "./folder-scan.ts";
import type { IndexedMessage } from "./index-db.ts";
import { curPath, isOthers, type MailboxFolder, removeFile, renameForFlags } from "./mailbox-folder.ts";
import { baseOf, lettersOf, parseMaildirName, withLetters } from "./maildir-name.ts";
import { doNamesAgree } from "./names-agree.ts";
import { putExtras } from "./save-messages.ts";
import { setAside } from "./set-aside.ts";
import type { MessageExtras } from "./sidecar-db.ts";
import type { StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";

/** Messages looked at before others get a turn. */
const messagesPerTurn = 5_000;

/** `uidNext`: of the mailbox's record. */
export async function loadMessages(
  context: StoreContext,
  folder: MailboxFolder,
  uidNext: Uid,
): Promise<StoredMessage[]> {
  if (folder.isLocal) folder.freshFrom = uidNext;
  await scanFolder(folder);
  await dropDamagedFiles(context, folder);
  const unknown = new Set(folder.files.keys());
  const messages: StoredMessage[] = [];
  const doOthersRename = folder.isLocal && doNamesAgree(context, folder.id);
  for (let after = 0; ; ) {
    const rows = context.index.messagesAfter(folder.id, after, messagesPerTurn);
    for (const row of rows) {
      unknown.delete(row.uid);
      messages.push(withFile(folder, row, doOthersRename));
    }
    if (rows.length < messagesPerTurn) break;
    after = rows.at(-1)?.uid ?? after;
    await nextTurn();
  }
  folder.keywords.flush();
  if (unknown.size === 0) return messages;
  return merge(messages, await restore(context, folder, uidNext, [...unknown]));
}

/**
 * Presence is what the folder says; flags are what the index says. What others have changed in a name since is left for
 * the first look, which finds a name that is not the one told here.
 */
function withFile(folder: MailboxFolder, row: IndexedMessage, doOthersRename: boolean): StoredMessage {
  if (!row.known) return { presence: "remote", uid: row.uid };
  const { known: _, ...meta } = row;
  const present = folder.files.get(meta.uid);
  if (doOthersRename && present !== undefined) {
    const { letters } = folder.keywords.letters(meta.flags);
    if (letters !== lettersOf(present)) noteDoubt(folder);
    const fileName = letters === lettersOf(present) ? present : withLetters(present, letters);
    return { presence: "full", fileName, ...meta };
  }
  const fileName = renameForFlags(folder, meta.uid, meta.flags);
  return fileName === undefined ? { presence: "meta", ...meta } : { presence: "full", fileName, ...meta };
}

/**
 * A power failure can cut off files that were not flushed. After each start of the machine the sizes of a
 * mailbox's files are compared once with what their names say.
 */
async function dropDamagedFiles(context: StoreContext, folder: MailboxFolder): Promise<void> {
  const { index, writer, logger, bootId } = context;
  if (index.verifiedBoot(folder.id) === bootId) return;
  const files = [...folder.files];
  const missing: Uid[] = [];
  for (let from = 0; from < files.length; from += messagesPerTurn) {
    const part = files.slice(from, from + messagesPerTurn);
    const names = part.map(([, name]) => name);
    const { sizesBytes } = await writer.run({ kind: "stat", folder: `${folder.path}/cur`, names });
    for (const [at, [uid, name]] of part.entries()) {
      const sizeBytes = sizesBytes[at];
      // Renamed or removed since: whoever did that has looked after `files`.
      const named = isOthers(folder, name) ? undefined : parseMaildirName(name);
      if (sizeBytes === named?.sizeBytes || folder.files.get(uid) !== name) continue;
      // What others have named is looked at where it is read.
      if (!named && sizeBytes !== -1) continue;
      if (sizeBytes === -1) {
        missing.push(uid);
        continue;
      }
      if (context.isLocal) {
        setAside(context, folder, uid);
        continue;
      }
      logger.warn({ file: curPath(folder, name), sizeBytes }, "damaged message file removed");
      removeFile(folder, name);
      folder.files.delete(uid);
    }
  }
  const renamed = missing.length > 0 ? findRenamed(folder, missing) : new Map<Uid, string>();
  for (const uid of missing) if (!renamed.has(uid)) folder.files.delete(uid);
  index.setVerifiedBoot(folder.id, bootId);
}

async function restore(
  context: StoreContext,
  folder: MailboxFolder,
  uidNext: Uid,
  uids: readonly Uid[],
): Promise<StoredMessage[]> {
  const restored: StoredMessage[] = [];
  for (let from = 0; from < uids.length; from += messagesPerTurn) {
    const part = uids.slice(from, from + messagesPerTurn);
    const names = part.map((uid) => folder.files.get(uid) ?? "");
    const { mtimesSeconds } = await context.writer.run({ kind: "stat", folder: `${folder.path}/cur`, names });
    context.database.transaction(() => {
      for (const [at, uid] of part.entries()) {
        const fileName = names[at];
        const mtime = mtimesSeconds[at];
        if (fileName === undefined || mtime === undefined || folder.files.get(uid) !== fileName) continue;
        const kept = context.sidecar.extrasOf(folder.id, uid);
        if (!kept && folder.isLocal && uid < uidNext) {
          // Expunged once, and put back from a backup: no UID is given twice.
          folder.files.delete(uid);
          folder.others.delete(baseOf(fileName));
          folder.strangers.add(join("cur", fileName));
          continue;
        }
        const extras = kept ?? (folder.isLocal ? extrasOfName(fileName) : undefined);
        const message = extras && restoredMessage(folder, fileName, mtime, extras);
        if (message && !kept) putExtras(context, folder, message);
        if (message) context.index.putMeta(folder.id, message);
        restored.push(message ?? { presence: "remote", uid });
      }
    });
    await nextTurn();
  }
  return restored;
}

/** Of a file younger than a sidecar from a backup: the zone is lost. */
function extrasOfName(fileName: string): MessageExtras | undefined {
  const parsed = parseMaildirName(fileName);
  if (!parsed) return undefined;
  const { uid, sizeBytes } = parsed;
  return { uid, sizeBytes, zoneMinutes: 0, modSeq: modSeq(0n), extraSlots: [] };
}

function restoredMessage(
  folder: MailboxFolder,
  fileName: string,
  epochSeconds: number,
  { uid, zoneMinutes, sizeBytes, modSeq, extraSlots }: MessageExtras,
): StoredMessage & { presence: "full" } {
  const letters = lettersOf(fileName);
  return {
    presence: "full",
    fileName,
    uid,
    flags: flagsOfLetters(letters, extraSlots, folder.keywords.names),
    internalDate: { epochSeconds, zoneMinutes },
    sizeBytes,
    modSeq,
  };
}

/** One message a UID: of those that came into the index meanwhile, the restored one is the same. */
function merge(messages: StoredMessage[], restored: readonly StoredMessage[]): StoredMessage[] {
  if (messages.length === 0) return [...restored].sort(byUid);
  const uids = messages.map((message) => message.uid);
  const added = restored.filter(({ uid }) => uids[lowerBound(uids, uid)] !== uid);
  return [...messages, ...added].sort(byUid);
}

function byUid(a: StoredMessage, b: StoredMessage): number {
  return a.uid - b.uid;
}
