/**
 * The authority of a local account: UIDs come from here, and a change is on stable storage when it resolves.
 */
import { isNonexistent, MailError, unreachable } from "../errors.ts";
import type { Listing } from "../legacy/source.ts";
import { withChange } from "../mail/flag-change.ts";
import { type EncodedMailboxName, inbox, type Uid } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { AccountStore, StoredMessage } from "../store/store.ts";
import { breathe, takeTurns } from "../waiting.ts";
import { addMessages } from "./add-local-messages.ts";
import type { Authority } from "./authority.ts";
import { dropLost, isFull, noteKeywords, removeAlone } from "./local-messages.ts";
import { type Renamed, renamedMailboxes, withCreated, withDeleted, withSubscription } from "./local-names.ts";
import { createTransfers } from "./local-transfer.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { isMarkedDeleted } from "./message-table.ts";
import { takeAlone } from "./take-dropped.ts";
import { byUnchangedSince } from "./unchanged-since.ts";

/** Changed before others get a turn. */
const messagesPerTurn = 500;

export interface LocalAuthorityOptions {
  readonly store: AccountStore;
  readonly listing: () => Listing;
  /** Keeps the listing and makes the mailboxes follow it. */
  readonly commitNames: (listing: Listing) => Promise<void>;
  /** Throws NONEXISTENT. */
  readonly mailbox: (name: EncodedMailboxName) => Promise<MailboxMirror>;
  /** Gives mailboxes other names, all or none of them. */
  readonly rename: (renamed: readonly Renamed[]) => Promise<void>;
  /** Does what is left of one that failed. */
  readonly finishRename: () => Promise<void>;
}

export function createLocalAuthority(options: LocalAuthorityOptions): Authority {
  const { store, listing, commitNames } = options;

  const target = async (name: EncodedMailboxName): Promise<MailboxMirror> => {
    try {
      return await options.mailbox(name);
    } catch (error) {
      throw isNonexistent(error) ? new MailError("TRYCREATE", `Mailbox doesn't exist: ${name}`) : error;
    }
  };

  const { transfer, settle } = createTransfers(store, {
    target,
    open: (record) => options.mailbox(record.name),
  });

  const changeName: Authority["changeName"] = async (change) => {
    switch (change.kind) {
      case "CREATE":
        return commitNames(withCreated(listing(), change.name));
      case "DELETE":
        return commitNames(withDeleted(listing(), change.name));
      case "SUBSCRIBE":
      case "UNSUBSCRIBE":
        return commitNames(withSubscription(listing(), change.name, change.kind === "SUBSCRIBE"));
      case "RENAME": {
        if (change.name !== inbox) {
          return options.rename(renamedMailboxes(listing(), change.name, change.to));
        }
        // RFC 3501 6.3.5: its messages go to a new mailbox, and INBOX stays, empty.
        await commitNames(withCreated(listing(), change.to));
        const from = await options.mailbox(inbox);
        try {
          await transfer("move", from, from.state.table.uids, change.to);
        } catch (error) {
          const made = await options.mailbox(change.to);
          if (made.state.table.uids.length === 0) await commitNames(withDeleted(listing(), change.to));
          throw error;
        }
        return;
      }
      default:
        return unreachable(change);
    }
  };
  const oneByOne = takeTurns();

  return {
    async append(name, { incoming, flags, internalDate }) {
      // Before anything is waited for: a client that leaves takes the message away.
      const content = incoming.open();
      try {
        const mailbox = await target(name);
        const { sizeBytes } = content;
        // In Dovecot's words: RFC 3502 6.3.11 has an empty literal mean that the client gives up.
        if (sizeBytes === 0) throw new MailError(undefined, "Can't save a zero byte message.");
        const date = internalDate ?? now();
        const [added] = await addMessages(store, mailbox, [
          { flags, internalDate: date, sizeBytes, bytes: { content } },
        ]);
        const { uidValidity } = mailbox.state.record;
        return added === undefined || uidValidity === undefined ? undefined : { uidValidity, uid: added };
      } finally {
        content.close();
      }
    },
    store: ({ state }, uids, change, unchangedSince) =>
      state.exclusive(async () => {
        await takeAlone(state);
        const modified: Uid[] = [];
        for (let from = 0; from < uids.length; from += messagesPerTurn) {
          if (from > 0) await breathe();
          const part = uids.slice(from, from + messagesPerTurn);
          const present = part.map((one) => state.table.get(one)).filter(isFull);
          const parted = byUnchangedSince(present, unchangedSince);
          modified.push(...parted.modified);
          const changed = parted.unchanged.map((message) => ({
            ...message,
            flags: withChange(message.flags, change),
          }));
          noteKeywords(state, changed);
          state.commitFlags(changed);
          const lost = part.filter((one) => isGone(state.table.get(one)));
          if (lost.length > 0) await dropLost(store, state, lost);
        }
        store.syncFolder(state.record);
        return modified;
      }),
    async expunge({ state }, uids = state.table.uids) {
      await settle();
      await state.exclusive(async () => {
        await takeAlone(state);
        const marked = uids.filter((one) => isMarkedDeleted(state.table, one));
        await removeAlone(store, state, marked);
      });
    },
    copy: (mailbox, uids, name) => transfer("copy", mailbox, uids, name),
    move: (mailbox, uids, name) => transfer("move", mailbox, uids, name),
    changeName: (change) =>
      oneByOne(async () => {
        await options.finishRename();
        return changeName(change);
      }),
  };
}

/** A local message is its file. */
function isGone(message: StoredMessage | undefined): boolean {
  return message !== undefined && !isFull(message);
}

/** In UTC: what the account's own zone is, nobody says. */
export function now(): InternalDate {
  return { epochSeconds: Math.floor(Date.now() / 1000), zoneMinutes: 0 };
}
