/**
 * Gives files that others have named the names, and the line ends, that files of ours have: of an account of which the
 * legacy server is to have the last word again, and nothing but names tells what is here. A kill in between leaves both
 * files of a message, of which the next opening keeps ours.
 */
import { join } from "node:path";
import { writeMessageFile } from "./add-messages.ts";
import { type MailboxFolder, removeFile } from "./mailbox-folder.ts";
import { baseOf } from "./maildir-name.ts";
import { openFiledMessage } from "./open-filed-message.ts";
import type { StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { syncPath } from "./sync-path.ts";

type FullMessage = StoredMessage & { readonly presence: "full" };

/** Written before the others go, and others get a turn. */
const messagesPerBatch = 100;

/** Those that have another name now; dovecot-uidlist is behind until it is written anew. */
export async function nameAsOurs(
  context: StoreContext,
  folder: MailboxFolder,
  messages: readonly StoredMessage[],
): Promise<FullMessage[]> {
  if (folder.others.size === 0) return [];
  const wanted = messages.filter((message) => message.presence === "full");
  const others = wanted.filter(({ fileName }) => folder.others.has(baseOf(fileName)));
  const renamed: FullMessage[] = [];
  for (let from = 0; from < others.length; from += messagesPerBatch) {
    const before = new Map<string, FullMessage>();
    for (const message of others.slice(from, from + messagesPerBatch)) {
      const name = folder.files.get(message.uid) ?? message.fileName;
      const content = openFiledMessage(context, folder, message);
      try {
        before.set(name, { ...message, fileName: await writeMessageFile(folder, message, content) });
      } finally {
        content.close();
      }
    }
    syncPath(join(folder.path, "cur"));
    for (const [name, message] of before) {
      folder.files.set(message.uid, message.fileName);
      folder.others.delete(baseOf(name));
      // It is another file now, and nobody else writes to it.
      folder.young.delete(message.uid);
      removeFile(folder, name);
      renamed.push(message);
    }
  }
  folder.keywords.flush();
  return renamed;
}
