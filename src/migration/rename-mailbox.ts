import type { EncodedMailboxName, MailboxId } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";

export interface OpenMailboxes {
  readonly store: AccountStore;
  /** Open, or being opened. */
  readonly mirrors: ReadonlyMap<MailboxId, Promise<MailboxMirror>>;
}

/**
 * The mailbox goes on under another name, with its messages and UIDs. Sessions that have it selected
 * go on with it; work on it that is waiting for its turn finds the new name.
 */
export async function renameMailbox(
  { store, mirrors }: OpenMailboxes,
  { id }: MailboxRecord,
  to: EncodedMailboxName,
): Promise<void> {
  // Where nobody has it open, in this same turn: else somebody could open it under its old name.
  while (mirrors.has(id)) {
    const mailbox = await mirrors.get(id)?.catch(() => undefined);
    if (!mailbox) continue;
    return mailbox.state.exclusive(async () => {
      mailbox.state.commitName(store.renameMailbox(id, to));
    });
  }
  store.renameMailbox(id, to);
}
