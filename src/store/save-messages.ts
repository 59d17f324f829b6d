/**
 * Writes what is known of messages, and brings their files' names in step with their flags. The rows are
 * committed first: a kill in between leaves older letters in a name, and the next load renames the file.
 */
import type { MessageMeta } from "../mail/message.ts";
import { findRenamed } from "./folder-scan.ts";
import { hasFile, type MailboxFolder, renameForFlags } from "./mailbox-folder.ts";
import { noteNamesBehind } from "./names-agree.ts";
import type { StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";

export function saveMessages(
  context: StoreContext,
  folder: MailboxFolder,
  messages: readonly StoredMessage[],
): StoredMessage[] {
  if (messages.length === 0) return [];
  const save = (): void => {
    noteNamesBehind(context, folder.id);
    for (const message of messages) {
      if (message.presence === "remote") {
        context.index.putRemote(folder.id, message.uid);
        continue;
      }
      if (message.presence === "full" && !folder.files.has(message.uid)) adopt(folder, message);
      context.index.putMeta(folder.id, message);
      if (folder.files.has(message.uid)) putExtras(context, folder, message);
    }
  };
  try {
    context.database.transaction(save);
  } catch (error) {
    folder.keywords.doubt();
    throw error;
  }
  const saved = messages.map((message) => inStepWithFile(folder, message));
  followRenamed(folder, messages, saved);
  folder.keywords.flush();
  return saved;
}

/** Before the file appears: with this row it can be restored to the index. */
export function putExtras({ sidecar }: StoreContext, folder: MailboxFolder, meta: MessageMeta): void {
  const { extraSlots } = folder.keywords.letters(meta.flags);
  const { uid, internalDate, sizeBytes, modSeq } = meta;
  const { zoneMinutes } = internalDate;
  sidecar.putExtras(folder.id, { uid, zoneMinutes, sizeBytes, modSeq, extraSlots });
}

/** A file that is not where it was may have another name by now. */
function followRenamed(
  folder: MailboxFolder,
  messages: readonly StoredMessage[],
  saved: StoredMessage[],
): void {
  const lost = saved.flatMap(({ presence, uid }, at) =>
    presence === "meta" && messages[at]?.presence === "full" ? [{ uid, at }] : [],
  );
  if (lost.length === 0) return;
  const found = findRenamed(
    folder,
    lost.map(({ uid }) => uid),
  );
  for (const { uid, at } of lost) {
    const message = messages[at];
    if (message && found.has(uid)) saved[at] = inStepWithFile(folder, message);
  }
}

/** A file that the caller knows of and nobody has noted. */
function adopt(folder: MailboxFolder, { uid, fileName }: StoredMessage & { presence: "full" }): void {
  if (hasFile(folder, uid, fileName)) folder.files.set(uid, fileName);
}

function inStepWithFile(folder: MailboxFolder, message: StoredMessage): StoredMessage {
  if (message.presence === "remote") return message;
  const fileName = renameForFlags(folder, message.uid, message.flags);
  if (message.presence === "full" && fileName === message.fileName) return message;
  if (message.presence === "meta" && fileName === undefined) return message;
  const { uid, flags, internalDate, sizeBytes, modSeq } = message;
  const meta = { uid, flags, internalDate, sizeBytes, modSeq };
  return fileName === undefined ? { presence: "meta", ...meta } : { presence: "full", fileName, ...meta };
}
