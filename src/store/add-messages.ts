/**
 * Adds messages to a mailbox of a local account, durably and in this order: what the sidecar knows of them,
 * their files, their lines in dovecot-uidlist, and last the index, which is a cache. A kill in between
 * leaves messages that nobody was told of, whole or not at all.
 */
import { linkSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { changeFolder } from "./folder-changes.ts";
import { curPath, identityIn, type MailboxFolder, noteFile, removeFile } from "./mailbox-folder.ts";
import { formatMaildirName, identityName, parseMaildirName } from "./maildir-name.ts";
import { putExtras } from "./save-messages.ts";
import { createSpool } from "./spool.ts";
import type { MessageToAdd } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { syncPath } from "./sync-path.ts";

/** Links made before others get a turn. */
const messagesPerTurn = 200;

/** The files' names, by UID. `writeLines` makes their uidlist lines durable. */
export async function addMessages(
  context: StoreContext,
  folder: MailboxFolder,
  messages: readonly MessageToAdd[],
  /** Where a message to copy is now, or its bytes where its file cannot be linked to; throws where it is not. */
  originalOf: (message: MessageToAdd & { copyOf: object }) => Original,
  writeLines: (names: ReadonlyMap<Uid, string>) => Promise<void>,
): Promise<Map<Uid, string>> {
  context.database.transaction(() => {
    for (const { meta } of messages) putExtras(context, folder, meta);
  });
  const names = new Map<Uid, string>();
  try {
    for (const [index, message] of messages.entries()) {
      if (index % messagesPerTurn === messagesPerTurn - 1) await nextTurn();
      const { meta } = message;
      const name =
        message.copyOf === undefined
          ? await writeMessageFile(folder, meta, message.content)
          : await copyFile(folder, meta, originalOf(message));
      noteFile(folder, meta.uid, name);
      names.set(meta.uid, name);
    }
    folder.keywords.flush();
    syncPath(join(folder.path, "cur"));
    await writeLines(names);
  } catch (error) {
    // Refused as a whole: none of them may be there at the next opening.
    for (const [uid, name] of names) {
      removeFile(folder, name);
      folder.files.delete(uid);
    }
    throw error;
  }
  try {
    context.database.transaction(() => {
      for (const { meta } of messages) context.index.putMeta(folder.id, meta);
    });
  } catch (error) {
    // They are there all the same, and the next opening finds them: the index is a cache.
    context.logger.error({ err: error }, "messages were added and could not be indexed");
  }
  return names;
}

/** The path of a file of ours. */
export type Original = { readonly path: string } | { readonly content: MessageContent };

async function copyFile(folder: MailboxFolder, meta: MessageMeta, original: Original): Promise<string> {
  if ("path" in original) return linkFile(folder, meta, original.path);
  try {
    return await writeMessageFile(folder, meta, original.content);
  } finally {
    original.content.close();
  }
}

/** Its file in cur/, under a name of ours; the name is on stable storage once cur/ is. */
export async function writeMessageFile(
  folder: MailboxFolder,
  meta: MessageMeta,
  content: MessageContent,
): Promise<string> {
  const identity = identityOf(folder, meta.uid);
  const spool = createSpool(join(folder.path, "tmp", `${identityName(identity)}.s0`), content.sizeBytes);
  try {
    for await (const bytes of piecesOf(content)) await spool.write(bytes);
    await spool.sync();
    const { letters } = folder.keywords.letters(meta.flags);
    const { crlfBytes } = spool;
    const name = formatMaildirName({ ...identity, sizeBytes: content.sizeBytes, crlfBytes, letters });
    changeFolder(folder, () => spool.commit(curPath(folder, name), meta.internalDate.epochSeconds));
    return name;
  } catch (error) {
    spool.abort(error);
    throw error;
  }
}

/** A copy shares its bytes, and its date, with the file it was made of. */
function linkFile(folder: MailboxFolder, meta: MessageMeta, path: string): string {
  const parsed = parseMaildirName(path.slice(path.lastIndexOf("/") + 1));
  if (!parsed) throw new Error(`${path} is no name of ours`);
  const { letters } = folder.keywords.letters(meta.flags);
  const name = formatMaildirName({ ...parsed, ...identityOf(folder, meta.uid), letters });
  changeFolder(folder, () => linkSync(path, curPath(folder, name)));
  return name;
}

function identityOf(folder: MailboxFolder, uid: Uid) {
  const identity = identityIn(folder, uid);
  if (!identity) throw new Error(`mailbox ${folder.id} has no UIDVALIDITY yet`);
  return identity;
}
