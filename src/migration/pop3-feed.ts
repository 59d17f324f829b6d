/**
 * Brings the maildrop of a legacy server that has POP3 only into INBOX: each message once, in the order of the
 * maildrop. What a client deletes here is deleted there; what others delete there goes here.
 *
 * What always holds
 * - A message's UIDL and its UID are written down before its file: whatever cuts in, it is not fetched twice.
 * - Nothing is deleted there but what a client has deleted.
 */
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { Logger } from "../log.ts";
import { type Uid, uid } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { followListing } from "./follow-maildrop.ts";
import { addMessages, removeMessages } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { type ListedMessage, listingOf, numbered, problemsOf } from "./maildrop-mirror.ts";
import { discardAll, type Retrieved, retrieveAll } from "./pop3-retrieve.ts";
import type { Pop3Side } from "./uidl-match.ts";

export interface Pop3Feed {
  /** Takes in what the old server has now, and deletes there what is to be deleted. */
  run(): Promise<void>;
  /** The listing of a client's session, held against what is here. */
  look(session: Pop3Session): Promise<readonly ListedMessage[]>;
  /** Every message that the old server listed last is here. */
  isWhole(): Promise<boolean>;
  isHere(entry: MaildropEntry): boolean;
  /** Gone there, too many to be believed. */
  readonly held: readonly Uid[];
  /** What the next look tells to be gone is. */
  believe(): void;
  problems(): readonly string[];
}

export interface Pop3FeedOptions {
  readonly store: AccountStore;
  readonly source: Pop3Source;
  readonly inbox: MailboxMirror;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Fetched together: a bound on memory, and on what a lost connection costs. */
const rangeBytes = 4 << 20;
const rangeMessages = 100;
/** More than half of so many gone at once is taken for an accident until somebody says otherwise. */
const brakeFrom = 50;

export function createPop3Feed({ store, source, inbox, logger, signal: closing }: Pop3FeedOptions): Pop3Feed {
  const { state } = inbox;
  /** UIDs of messages that are gone there, and whether that is believed now. */
  let held: readonly Uid[] = [];
  let isBelieved = false;

  const isHere = ({ message }: MaildropEntry): boolean =>
    message !== undefined && state.table.get(message.uid) !== undefined;

  /** Takes the listing in: what has left goes, unless it is too much to be believed. */
  const follow = async (listing: readonly Pop3Side[]): Promise<readonly ListedMessage[]> => {
    const kept = await store.maildrop.entries();
    const followed = followListing(kept, listing, "same-when-resized");
    const left = followed.gone.filter((entry) => isHere(entry) && !entry.isRemoved);
    if (!isBelieved && kept.length >= brakeFrom && left.length > kept.length / 2)
      return hold(kept, listing, left);
    held = [];
    isBelieved = false;
    store.maildrop.change(followed.change);
    await removeMessages(
      store,
      inbox,
      followed.gone.flatMap(({ message }) => message?.uid ?? []),
    );
    return numbered(listing, followed.entries);
  };
  /** As if they were still there. */
  const hold = (
    kept: readonly MaildropEntry[],
    listing: readonly Pop3Side[],
    left: readonly MaildropEntry[],
  ): readonly ListedMessage[] => {
    if (held.length !== left.length)
      logger.error({ messages: left.length }, "the old POP3 server suddenly lists much less");
    held = left.flatMap(({ message }) => message?.uid ?? []);
    const missing = left.map(({ uidl, sizeBytes }) => ({ number: 0, uidl, sizeBytes }));
    const all = [...missing, ...listing];
    const { entries, change } = followListing(kept, all, "same-when-resized");
    store.maildrop.change(change);
    return numbered(all, entries).filter(({ number }) => number > 0);
  };
  const pull = async (
    session: Pop3Session,
    messages: readonly ListedMessage[],
    signal: AbortSignal,
  ): Promise<void> => {
    const missing = messages.filter(({ entry }) => !isHere(entry) && !entry.isRemoved);
    for (let from = 0; from < missing.length; ) {
      signal.throwIfAborted();
      const range = rangeFrom(missing, from);
      from += range.length;
      const { retrieved, failure } = await retrieveAll(store, session, range);
      try {
        await file(retrieved);
      } finally {
        discardAll(retrieved);
      }
      if (failure !== undefined) throw failure;
    }
  };
  const file = async (retrieved: readonly Retrieved[]): Promise<void> => {
    const refused = retrieved.filter((one) => one.kind === "refused");
    const whole = retrieved.filter((one) => one.kind === "whole");
    if (refused.length > 0) {
      const put = refused.map(({ entry, problem }) => ({ ...entry, message: undefined, problem }));
      store.maildrop.change({ removed: [], put });
    }
    const writeDown = (first: Uid): void => {
      const { id: mailbox } = state.record;
      const put = whole.map(({ entry }, index) => {
        const message = { mailbox, uid: uid(first + index) };
        return { ...entry, message, problem: undefined };
      });
      store.maildrop.change({ removed: [], put });
    };
    await addMessages(
      store,
      inbox,
      whole.map(({ addition }) => addition),
      writeDown,
    );
  };

  return {
    async run() {
      const removed: MaildropEntry[] = [];
      await source.inBackground(closing, async (session, signal) => {
        const messages = await follow(await listingOf(session));
        await pull(session, messages, signal);
        // Read anew: clients go on deleting while we pull.
        const entries = await store.maildrop.entries();
        const marked = new Set(entries.flatMap(({ isRemoved, position }) => (isRemoved ? [position] : [])));
        const leaving = messages.filter(({ entry }) => marked.has(entry.position));
        await Promise.all(leaving.map(({ number }) => session.remove(number)));
        removed.push(...leaving.map(({ entry }) => entry));
      });
      // QUIT was answered with OK: they are gone there.
      store.maildrop.change({ removed, put: [] });
      await removeMessages(
        store,
        inbox,
        removed.flatMap(({ message }) => message?.uid ?? []),
      );
    },
    look: async (session) => follow(await listingOf(session)),
    isWhole: async () => (await store.maildrop.entries()).every((entry) => entry.isRemoved || isHere(entry)),
    get held() {
      return held;
    },
    believe() {
      isBelieved = true;
    },
    isHere,
    problems() {
      const brake =
        held.length === 0
          ? []
          : [
              `the old POP3 server has suddenly lost ${held.length} messages; they are kept here until you decide (deletions --help)`,
            ];
      return [...brake, ...problemsOf(store)];
    },
  };
}

function rangeFrom(messages: readonly ListedMessage[], from: number): readonly ListedMessage[] {
  let sizeBytes = 0;
  const range: ListedMessage[] = [];
  for (const message of messages.slice(from, from + rangeMessages)) {
    sizeBytes += message.entry.sizeBytes;
    if (sizeBytes > rangeBytes && range.length > 0) break;
    range.push(message);
  }
  return range;
}
