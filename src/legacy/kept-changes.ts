/**
 * Changes on a server that writes flags when the mailbox is left, and says nothing where it could not because
 * another session was faster (quirks.ts, `frozenSessions`): each is looked at in a new selection, and made again for
 * the messages that have lost it.
 */
import { MailError } from "../errors.ts";
import { withChange } from "../mail/flag-change.ts";
import { sameFlags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import { type UidSet, uidSetOf } from "../mail/number-set.ts";
import type { SelectedMailbox } from "./selected-mailbox.ts";
import type { FlagsOf, MailboxChanges } from "./source.ts";
import { uidSearch } from "./uid-search.ts";
import { contains } from "./uid-set.ts";

const maxTries = 5;

/** `changes` as the server makes them, and `flagsOf` of messages as it shows them. */
export function keptChanges(
  mailbox: SelectedMailbox,
  changes: MailboxChanges,
  flagsOf: (uids: UidSet, onFlags: (flags: FlagsOf) => void) => Promise<void>,
): MailboxChanges {
  const flagsNow = async (uids: UidSet): Promise<readonly FlagsOf[]> => {
    await mailbox.refresh();
    const found: FlagsOf[] = [];
    await flagsOf(uids, (flags) => found.push(flags));
    return found;
  };
  return {
    ...changes,
    async store(uids, change, onFlags) {
      let left = uids;
      for (let tries = 1; ; tries++) {
        await changes.store(left, change, () => undefined);
        const found = await flagsNow(left);
        const lost = found.filter(({ flags }) => !sameFlags(flags, withChange(flags, change)));
        const isLast = lost.length === 0 || tries === maxTries;
        for (const flags of isLast ? found : found.filter((one) => !lost.includes(one))) onFlags(flags);
        if (lost.length === 0) return [];
        if (isLast) throw notKept();
        left = uidSetOf(lost.map(({ uid }) => uid));
      }
    },
    async expunge(uids) {
      const marked = await markedOf(mailbox);
      for (let tries = 1; tries <= maxTries; tries++) {
        await changes.expunge(uids);
        await mailbox.refresh();
        const left = await markedOf(mailbox);
        // Those alone that it was about: what others mark meanwhile is theirs to expunge.
        if (left.length === 0 || !left.every((uid) => marked.includes(uid))) return;
      }
      throw notKept();
    },
    /** One by one: of several the server copies the first ones before it says NO to another. */
    async copy(uids, target) {
      for (const uid of await mailbox.uids()) {
        if (contains(uids, uid)) await copyOne(mailbox, changes, uid, target);
      }
      return undefined;
    },
  };
}

async function copyOne(
  mailbox: SelectedMailbox,
  changes: MailboxChanges,
  uid: Uid,
  target: Parameters<MailboxChanges["copy"]>[1],
): Promise<void> {
  const set = uidSetOf([uid]);
  try {
    await changes.copy(set, target);
  } catch (error) {
    if (mailbox.connection.isClosed || !(error instanceof MailError)) throw error;
    // It has been changed by another since: seen anew, it can be copied, or it is gone.
    await mailbox.refresh();
    if ((await mailbox.listed(set)).length > 0) await changes.copy(set, target);
  }
}

function markedOf({ connection }: SelectedMailbox): Promise<readonly Uid[]> {
  return uidSearch(connection, ["DELETED"]);
}

function notKept(): MailError {
  return new MailError("UNAVAILABLE", "Another session of the old server keeps undoing the change");
}
