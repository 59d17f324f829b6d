/** Connections with a mailbox selected, for all that asks for messages by the UIDs that are known here. */
import { MailError } from "../errors.ts";
import type { LeaseOptions, MailboxLease } from "../legacy/source.ts";
import type { MailboxRecord } from "../store/store.ts";
import { anyOf } from "../waiting.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { takeDelta } from "./sync-mailbox.ts";

export interface MailboxWork extends Omit<LeaseOptions, "signal"> {
  /** Selected read-write. */
  readonly write?: boolean;
  /** See `MailboxLeaseOptions`. */
  readonly quick?: boolean;
  /** Ends the waiting for a connection, and the work; besides the account's own. */
  readonly signal?: AbortSignal;
}

/**
 * `work` gets the record under whose UIDVALIDITY it asks. Where the legacy server has made another mailbox
 * of that name, that is taken in, and UNAVAILABLE thrown: the UIDs would name other messages. Where it has no
 * UIDVALIDITY, only a look can tell.
 */
export function withMailbox<T>(
  mailbox: MailboxState,
  options: MailboxWork,
  work: (lease: MailboxLease, record: MailboxRecord) => Promise<T>,
): Promise<T> {
  const signal = options.signal ? anyOf(options.signal, mailbox.signal) : mailbox.signal;
  const request = { ...options, signal };
  return mailbox.source.useMailbox(mailbox.record.name, request, async (lease) => {
    const { record } = mailbox;
    if (lease.examined.uidValidity === record.uidValidity) return work(lease, record);
    await mailbox.exclusive(async () => takeDelta(mailbox, lease, await lease.examineAgain()));
    const now = mailbox.record;
    // After the first look at it: nothing was known that could have changed.
    if (record.uidValidity === undefined || now.uidValidity === record.uidValidity) return work(lease, now);
    throw hasChanged();
  });
}

export function hasChanged(): MailError {
  return new MailError("UNAVAILABLE", "The mailbox has changed, please reopen it");
}
