/** Connections with a mailbox selected, for all that asks for messages by the UIDs that are known here. */
import { MailError } from "../errors.ts";
import type { LeaseOptions, MailboxLease, MailboxLeaseOptions } from "../legacy/source.ts";
import type { MailboxRecord } from "../store/store.ts";
import { anyOf } from "../waiting.ts";
import { Contradiction } from "./contradiction.ts";
import { catchUp, isFollowed } from "./follow-mailbox.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { takeDelta } from "./sync-mailbox.ts";
import { unreadableOf } from "./unreadable.ts";

export interface MailboxWork extends Omit<LeaseOptions, "signal"> {
  /** Selected read-write. */
  readonly write?: boolean;
  /** See `MailboxLeaseOptions`. */
  readonly quick?: boolean;
  /** Ends the waiting for a connection, and the work; besides the account's own. */
  readonly signal?: AbortSignal;
}

type Work<T> = (lease: MailboxLease, record: MailboxRecord) => Promise<T>;

/**
 * `work` gets the record under whose UIDVALIDITY it asks. Where the legacy server has made another mailbox
 * of that name, that is taken in, and UNAVAILABLE thrown: the UIDs would name other messages. Where it has no
 * UIDVALIDITY, only a look can tell. It shares the mailbox's connection with others.
 */
export function withMailbox<T>(mailbox: MailboxState, options: MailboxWork, work: Work<T>): Promise<T> {
  const request = requestOf(mailbox, options);
  return mailbox.source.shareMailbox(mailbox.record.name, request, (lease) => asKnown(mailbox, lease, work));
}

/** The same on a connection of its own: for what is brought across in the background. */
export function withMailboxApart<T>(mailbox: MailboxState, work: Work<T>): Promise<T> {
  const request = { priority: "background", apart: true, signal: mailbox.signal } as const;
  return mailbox.source.shareMailbox(mailbox.record.name, request, (lease) => asKnown(mailbox, lease, work));
}

/** The same for what may break the connection: nobody else's work is on it. */
export function withMailboxAlone<T>(mailbox: MailboxState, options: MailboxWork, work: Work<T>): Promise<T> {
  const { source, record } = mailbox;
  const request = { ...requestOf(mailbox, options), write: false };
  return source.useMailbox(record.name, request, (lease) => asKnown(mailbox, lease, work));
}

/**
 * For changes: the mailbox is selected read-write, and what was told of it so far is taken in, so that what the
 * change's answer tells follows on that.
 */
export async function withFollowed<T>(
  mailbox: MailboxState,
  { modSeqs = false, write = true }: { readonly modSeqs?: boolean; readonly write?: boolean },
  work: Work<T>,
): Promise<T> {
  let isBegun = false;
  const attempt = (): Promise<T> =>
    withMailbox(mailbox, { priority: "interactive", write }, async (lease, record) => {
      if (modSeqs || !isFollowed(mailbox, lease))
        await mailbox.exclusive((waited) => catchUp(mailbox, lease, { waited, unasked: true, modSeqs }));
      if (mailbox.record.uidValidity !== record.uidValidity) throw hasChanged();
      isBegun = true;
      return work(lease, record);
    });
  try {
    return await attempt();
  } catch (error) {
    if (isBegun) throw error;
    // A message that cannot be had has broken the delta ahead of it, and the next does without its metadata; or what
    // somebody else was sent there was wrong, and has ended the connection.
    const isSafeAgain = unreadableOf(mailbox).takeDelta() === "metadata" || error instanceof Contradiction;
    if (!isSafeAgain) throw error;
    return attempt();
  }
}

function requestOf(mailbox: MailboxState, options: MailboxWork): MailboxLeaseOptions {
  const signal = options.signal ? anyOf(options.signal, mailbox.signal) : mailbox.signal;
  return { ...options, signal, write: options.write === true || mailbox.isSelected };
}

async function asKnown<T>(mailbox: MailboxState, lease: MailboxLease, work: Work<T>): Promise<T> {
  const { record } = mailbox;
  if (lease.examined.uidValidity === record.uidValidity) return work(lease, record);
  await mailbox.exclusive(async () => takeDelta(mailbox, lease, await lease.examineAgain()));
  const now = mailbox.record;
  // After the first look at it: nothing was known that could have changed.
  if (record.uidValidity === undefined || now.uidValidity === record.uidValidity) return work(lease, now);
  throw hasChanged();
}

export function hasChanged(): MailError {
  return new MailError("UNAVAILABLE", "The mailbox has changed, please reopen it");
}
