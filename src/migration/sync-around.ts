/**
 * The delta of a mailbox in which a message may be that the legacy server cannot give: it breaks a delta that asks for
 * the flags of all, or for what has changed. It is found then, and the delta made once more without it.
 */
import type { Uid } from "../mail/ids.ts";
import { uidRunsOf } from "../mail/number-set.ts";
import { fetchAround } from "./fetch-around.ts";
import { type SyncOptions, syncMailbox } from "./follow-mailbox.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { unreadableOf } from "./unreadable.ts";

export async function syncAround(mailbox: MailboxState, options: SyncOptions): Promise<void> {
  const unreadable = unreadableOf(mailbox);
  try {
    await syncMailbox(mailbox, options);
  } catch (error) {
    const asked = unreadable.takeDelta();
    if (asked === undefined || mailbox.signal.aborted) throw error;
    if (asked === "flags") await findWithoutFlags(mailbox, options);
    await syncMailbox(mailbox, options);
  }
}

async function findWithoutFlags(mailbox: MailboxState, { priority }: SyncOptions): Promise<void> {
  const told = new Set<Uid>();
  const { uids } = mailbox.table;
  await fetchAround(mailbox, {
    asked: "flags",
    uids,
    work: { priority },
    isHere: (uid) => told.has(uid),
    fetch: (lease, _record, some) =>
      lease.fetchFlags(uidRunsOf(some, uids), ({ uid }) => told.add(uid), undefined, { modSeqs: false }),
  });
}
