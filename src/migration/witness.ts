/**
 * Whether a legacy server gives anything at all: where message after message cannot be had, one whose bytes are here is
 * asked for in the same way. With an answer to that it is the messages; without one nothing is said of any of them.
 */
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { type Asked, unreadableOf } from "./unreadable.ts";

/** Among the first so many the shortest one. */
const amongFirst = 200;

export function witnessIn(mailbox: MailboxState, asked: Asked): Uid | undefined {
  const { table } = mailbox;
  const unreadable = unreadableOf(mailbox);
  let found: { readonly uid: Uid; readonly sizeBytes: number } | undefined;
  for (const uid of table.uids.slice(0, amongFirst)) {
    const message = table.get(uid);
    if (message?.presence !== "full" || unreadable.isSuspect(uid, asked)) continue;
    if (!found || message.sizeBytes < found.sizeBytes) found = { uid, sizeBytes: message.sizeBytes };
  }
  return found?.uid;
}

/** Whether it is answered. */
export async function isGiven(lease: MailboxLease, asked: Asked, witness: Uid): Promise<boolean> {
  const uids = uidSetOf([witness]);
  let isAnswered = false;
  const note = (): void => {
    isAnswered = true;
  };
  switch (asked) {
    case "flags":
      await lease.fetchFlags(uids, note);
      break;
    case "date":
      await lease.fetchPartly(uids, ["INTERNALDATE"], note);
      break;
    case "size":
      await lease.fetchPartly(uids, ["RFC822.SIZE"], note);
      break;
    case "metadata":
      await lease.fetchMeta(uids, note);
      break;
    case "header":
      await lease.fetchHeaders(uids, note);
      break;
    case "structure":
      await lease.fetchStructures(uids, note);
      break;
    case "content":
      await lease.fetchBodies(uids, { begin: note, write: () => undefined, end: () => undefined });
  }
  return isAnswered;
}
