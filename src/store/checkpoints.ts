/**
 * Checkpoints of an account's mailboxes that look first whether there is anything to write. What this opening has
 * written itself it remembers by revisions, and does not look at the messages; what an earlier one has, it compares.
 */
import { type Checkpoint, uidlistVersion, updateUidlist } from "./checkpoint.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import { pop3FieldsOf, uidlFormatKey } from "./pop3-fields.ts";
import type { RevisedMessages } from "./store.ts";
import type { StoreContext } from "./store-context.ts";

export interface RevisedCheckpoint extends Pick<Checkpoint, "folder" | "mailbox" | "guid" | "signal"> {
  readonly messages: RevisedMessages;
}

interface Written {
  readonly messages: RevisedMessages;
  readonly revision: number;
  /** All else that the lines and the header are made of. */
  readonly rest: string;
  readonly version: string;
}

/** Gives true where nothing has changed since the last one. */
export function createCheckpoints(
  context: StoreContext,
): (checkpoint: RevisedCheckpoint) => Promise<boolean> {
  const written = new WeakMap<MailboxFolder, Written>();
  const restOf = ({ folder, mailbox, guid }: RevisedCheckpoint): string => {
    const { name, uidValidity, uidNext } = mailbox;
    const format = context.sidecar.readSetting(uidlFormatKey);
    const { path, isLocal } = folder;
    return JSON.stringify([
      name,
      uidValidity,
      uidNext,
      guid,
      path,
      isLocal,
      format,
      context.maildrop.revision,
    ]);
  };
  return async (checkpoint) => {
    const { folder, mailbox, messages } = checkpoint;
    const { revision } = messages;
    const rest = restOf(checkpoint);
    const last = written.get(folder);
    const isSame = last?.messages === messages && last.revision === revision && last.rest === rest;
    // Dovecot, or an administrator, may have written or removed it.
    if (isSame && !folder.keywords.isBehind && last.version === uidlistVersion(folder)) return true;
    const fieldsOf = pop3FieldsOf(context, mailbox, true);
    const version = await updateUidlist({ ...checkpoint, messages: messages.all(), fieldsOf });
    if (version !== undefined) written.set(folder, { messages, revision, rest, version });
    return false;
  };
}
