/** What becomes of a mailbox here whose name a client has changed. */
import type { ImapSource } from "../legacy/source.ts";
import type { EncodedMailboxName, MailboxId, UidValidity } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { shownValidities } from "./shown-validities.ts";

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

export interface RenamedThere {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly signal: AbortSignal;
}

/** The UIDVALIDITY of the new name, as it is shown for `record`: no mailbox here has that name yet. */
export async function validityAs(
  { store, source, signal }: RenamedThere,
  record: MailboxRecord,
  name: EncodedMailboxName,
): Promise<UidValidity | undefined> {
  const request = { priority: "interactive", signal } as const;
  const { uidValidity } = await source.use(request, (lease) => lease.status(name));
  const told =
    uidValidity ??
    // STATUS of Dovecot tells 0 while another session is just opening it.
    (await source.useMailbox(
      name,
      { ...request, quick: true },
      async ({ examined }) => examined.uidValidity,
    ));
  return shownValidities(store).of(record.name, told);
}
