import type { EncodedMailboxName } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";

export interface OpenMailboxes {
  readonly store: AccountStore;
  /** Open, or being opened, by name. */
  readonly mirrors: Map<EncodedMailboxName, Promise<MailboxMirror>>;
  readonly opened: Map<EncodedMailboxName, MailboxMirror>;
}

/**
 * The mailbox goes on under another name, with its messages and UIDs. Sessions that have it selected are told
 * that it is gone; work on it that is waiting for its turn finds the new name.
 */
export async function renameMailbox(
  { store, mirrors, opened }: OpenMailboxes,
  { id, name }: MailboxRecord,
  to: EncodedMailboxName,
): Promise<void> {
  const open = mirrors.get(name);
  const mailbox = await open?.catch(() => undefined);
  if (!open || !mailbox) return void store.renameMailbox(id, to);
  await mailbox.state.exclusive(async () => {
    mailbox.state.commitName(store.renameMailbox(id, to));
    mirrors.delete(name);
    opened.delete(name);
    mirrors.set(to, open);
    opened.set(to, mailbox);
    mailbox.state.announceGone("Mailbox was renamed");
  });
}
