/**
 * The authority of a local account: UIDs come from here, and a change is on stable storage when it resolves.
 */
import { MailError, unreachable } from "../errors.ts";
import type { Listing } from "../legacy/source.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import { withChange } from "../mail/flag-change.ts";
import { flagsOf, hasFlag } from "../mail/flags.ts";
import { type EncodedMailboxName, inbox, modSeq, type Uid, uid } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { MessageContent } from "../mail/message.ts";
import type { AccountStore, MessageToAdd, StoredMessage } from "../store/store.ts";
import type { Authority } from "./authority.ts";
import { type Renamed, renamedMailboxes, withCreated, withDeleted, withSubscription } from "./local-names.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { takeTurns } from "./waiting.ts";

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

/** What is added, but for its UID. */
export interface Addition {
  readonly flags: readonly string[];
  readonly internalDate: InternalDate;
  readonly sizeBytes: number;
  readonly bytes: { readonly content: MessageContent } | { readonly copyOf: string };
}

type Full = StoredMessage & { readonly presence: "full" };

export function createLocalAuthority(options: LocalAuthorityOptions): Authority {
  const { store, listing, commitNames } = options;

  const target = async (name: EncodedMailboxName): Promise<MailboxMirror> => {
    try {
      return await options.mailbox(name);
    } catch (error) {
      const isMissing = error instanceof MailError && error.code === "NONEXISTENT";
      throw isMissing ? new MailError("TRYCREATE", `Mailbox doesn't exist: ${name}`) : error;
    }
  };

  const copy: Authority["copy"] = async (mailbox, uids, name) => {
    const to = await target(name);
    const messages = uids.map((one) => mailbox.state.table.get(one)).filter(isFull);
    const copies = messages.flatMap((message): Addition[] => {
      const copyOf = store.pathOf(mailbox.state.record, message.uid);
      return copyOf === undefined ? [] : [{ ...message, bytes: { copyOf } }];
    });
    if (copies.length < messages.length) throw new MailError("UNAVAILABLE", "A message cannot be read");
    const added = await addMessages(store, to, copies);
    const { uidValidity } = to.state.record;
    if (uidValidity === undefined) return undefined;
    return { uidValidity, from: messages.map((message) => message.uid), to: added } satisfies CopiedUids;
  };

  const remove = async ({ state }: MailboxMirror, uids: readonly Uid[]): Promise<void> => {
    if (uids.length === 0) return;
    await store.removeMessages(state.record, uids);
    store.syncFolder(state.record);
    state.commitRemoved(uids);
  };

  const moveAll = async (from: MailboxMirror, uids: readonly Uid[], name: EncodedMailboxName) => {
    const copied = await copy(from, uids, name);
    await from.state.exclusive(() => remove(from, uids));
    return copied;
  };

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
        await moveAll(from, from.state.table.uids, change.to);
        return;
      }
      default:
        return unreachable(change);
    }
  };
  const oneByOne = takeTurns();

  return {
    async append(name, { incoming, flags, internalDate }) {
      const mailbox = await target(name);
      // In Dovecot's words: RFC 3502 6.3.11 has an empty literal mean that the client gives up.
      if (incoming.sizeBytes === 0) throw new MailError(undefined, "Can't save a zero byte message.");
      const content = incoming.open();
      try {
        const { sizeBytes } = content;
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
    store: ({ state }, uids, change) =>
      state.exclusive(async () => {
        const messages = uids.map((one) => state.table.get(one)).filter(isFull);
        state.commitFlags(
          messages.map((message) => ({ ...message, flags: withChange(message.flags, change) })),
        );
        store.syncFolder(state.record);
      }),
    expunge: (mailbox, uids = mailbox.state.table.uids) =>
      mailbox.state.exclusive(async () => {
        const { table } = mailbox.state;
        const isDeleted = (one: Uid): boolean => {
          const message = table.get(one);
          return isFull(message) && hasFlag(message.flags, "\\Deleted");
        };
        await remove(mailbox, uids.filter(isDeleted));
      }),
    copy,
    move: moveAll,
    changeName: (change) =>
      oneByOne(async () => {
        await options.finishRename();
        return changeName(change);
      }),
  };
}

/** Their UIDs, in order. */
export async function addMessages(
  store: AccountStore,
  { state }: MailboxMirror,
  additions: readonly Addition[],
): Promise<readonly Uid[]> {
  if (additions.length === 0) return [];
  return state.exclusive(async () => {
    const first = state.reserveUids(additions.length);
    const messages = additions.map(({ flags, internalDate, sizeBytes, bytes }, index): MessageToAdd => {
      const meta = {
        uid: uid(first + index),
        flags: flagsOf(flags),
        internalDate,
        sizeBytes,
        modSeq: modSeq(0n),
      };
      return { meta, ...bytes };
    });
    const added = await store.addMessages(state.record, messages);
    state.commitAdded(added);
    return added.map((message) => message.uid);
  });
}

function isFull(message: StoredMessage | undefined): message is Full {
  return message?.presence === "full";
}

/** In UTC: what the account's own zone is, nobody says. */
export function now(): InternalDate {
  return { epochSeconds: Math.floor(Date.now() / 1000), zoneMinutes: 0 };
}
