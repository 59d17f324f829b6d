/**
 * Brings the maildrop of a legacy server that has POP3 only into INBOX: each message once, in the order of the
 * maildrop. What a client deletes here is deleted there; what others delete there goes here.
 *
 * What always holds
 * - A message's UIDL and its UID are written down before its file: whatever cuts in, it is not fetched twice.
 * - Nothing is deleted there but what a client has deleted.
 */
import { MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { Logger } from "../log.ts";
import { type Uid, uid } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { compareUids } from "./compare.ts";
import { followListing } from "./follow-maildrop.ts";
import { addMessages, removeMessages } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import {
  type ListedMessage,
  lacksUidls,
  listedThere,
  listingOf,
  numbered,
  problemsOf,
} from "./maildrop-mirror.ts";
import { discardAll, type Retrieved, retrieveAll } from "./pop3-retrieve.ts";
import type { Pop3Side } from "./uidl-match.ts";

export interface Pop3Feed {
  /** Takes in what the old server has now, and deletes there what is to be deleted. */
  run(): Promise<void>;
  /** The listing of a client's session, held against what is here: whether all of it is. */
  look(
    session: Pop3Session,
  ): Promise<{ readonly messages: readonly ListedMessage[]; readonly isWhole: boolean }>;
  /** Every message that the old server listed last is here. */
  isWhole(): Promise<boolean>;
  /** The old server's maildrop has nothing to do with these any more. */
  forget(uids: readonly Uid[]): Promise<void>;
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
/** How often a message may break the connection before it is put aside, and for how long. */
const maxFailures = 3;
const retryMs = 10 * 60_000;

export function createPop3Feed({ store, source, inbox, logger, signal: closing }: Pop3FeedOptions): Pop3Feed {
  const { state } = inbox;
  /** By UIDL: of messages at which the connection broke. */
  const failures = new Map<string, { count: number; retryAt: number }>();

  const isHere = ({ message }: MaildropEntry): boolean =>
    message !== undefined && state.table.get(message.uid) !== undefined;

  const isWhole = async (): Promise<boolean> =>
    (await store.maildrop.entries()).every((entry) => entry.isRemoved || isHere(entry));

  /** Takes the listing in: what has left goes, unless it is too much to be believed. */
  const follow = async (listing: readonly Pop3Side[]): Promise<readonly ListedMessage[]> => {
    const kept = await store.maildrop.entries();
    const followed = followListing(kept, listing, "same-when-resized", isRemoved);
    const left = followed.gone.filter((entry) => isHere(entry) && !entry.isRemoved);
    if (haveOtherNames(left, kept, listing)) throw new UidlsDoNotLast();
    const heldBack = judge(left);
    const all = [...heldBack, ...listing];
    const { entries, gone, change } =
      heldBack.length === 0 ? followed : followListing(kept, all, "same-when-resized", isRemoved);
    // Messages first: a row without its message heals itself, a message without its row would get a UIDL of ours.
    const uids = gone.flatMap(({ message }) => message?.uid ?? []);
    await removeMessages(store, inbox, uids);
    store.maildrop.change(change);
    return numbered(all, entries).filter(({ number }) => number > 0);
  };
  /** Those of which the brake does not believe that they are gone: as if they were still listed. */
  const judge = (left: readonly MaildropEntry[]): readonly Pop3Side[] => {
    const { table, brake } = state;
    const gone = new Set(left.map(({ message }) => message?.uid));
    const uids = table.uids.filter((one) => !gone.has(one));
    const before = brake.held.length;
    brake.judge(table, { uids, ...compareUids(brake.withoutHeld(table.uids), uids) });
    if (brake.held.length > before)
      logger.error({ messages: brake.held.length }, "the old POP3 server suddenly lists much less");
    return left
      .filter(({ message }) => message && brake.isHeld(message.uid))
      .map(({ uidl, sizeBytes }) => ({ number: 0, uidl, sizeBytes }));
  };
  const noteFailure = (entry: MaildropEntry | undefined): void => {
    if (!entry) return;
    const { count } = failures.get(entry.uidl) ?? { count: 0 };
    failures.set(entry.uidl, { count: count + 1, retryAt: performance.now() + retryMs });
    if (count + 1 < maxFailures) return;
    const problem = `asked for ${count + 1} times, the old server breaks off`;
    store.maildrop.change({ removed: [], put: [{ ...entry, message: undefined, problem }] });
  };
  const isPutAside = ({ uidl }: MaildropEntry): boolean => {
    const failure = failures.get(uidl);
    return failure !== undefined && failure.count >= maxFailures && failure.retryAt > performance.now();
  };
  const pull = async (
    session: Pop3Session,
    messages: readonly ListedMessage[],
    signal: AbortSignal,
  ): Promise<void> => {
    const missing = messages.filter(({ entry }) => !isHere(entry) && !entry.isRemoved && !isPutAside(entry));
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
      if (failure === undefined) continue;
      if (!signal.aborted && !(failure instanceof StoreTrouble)) noteFailure(range[retrieved.length]?.entry);
      throw failure;
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
      const uids = removed.flatMap(({ message }) => message?.uid ?? []);
      await removeMessages(store, inbox, uids);
      store.maildrop.change({ removed, put: [] });
    },
    async look(session) {
      try {
        const messages = await follow(await listingOf(session));
        return { messages: messages.filter(({ entry }) => !entry.isRemoved), isWhole: await isWhole() };
      } catch (error) {
        if (!lacksUidls(error) && !(error instanceof StoreTrouble)) throw error;
        logger.warn({ err: error }, "the old POP3 server serves this session");
        return { messages: await listedThere(session), isWhole: false };
      }
    },
    isWhole,
    async forget(uids) {
      const named = new Set(uids);
      const entries = await store.maildrop.entries();
      const removed = entries.filter(({ message }) => message && named.has(message.uid));
      store.maildrop.change({ removed, put: [] });
    },
    problems: () => problemsOf(store),
  };
}

const isRemoved = (entry: MaildropEntry): boolean => entry.isRemoved;

/** Nothing can be kept apart by them: each look would bring all mail once more. */
class UidlsDoNotLast extends MailError {
  constructor() {
    super("CANNOT", "The old POP3 server gives its messages other UIDLs each time");
  }
}

/** Most of what is kept has left, and as many unknown messages of the same sizes have come. */
function haveOtherNames(
  left: readonly MaildropEntry[],
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
): boolean {
  if (left.length < 3 || left.length <= kept.length / 2) return false;
  const known = new Set<string>(kept.map(({ uidl }) => uidl));
  const sizes = new Map<number, number>();
  for (const { uidl, sizeBytes } of listing)
    if (!known.has(uidl)) sizes.set(sizeBytes, (sizes.get(sizeBytes) ?? 0) + 1);
  let same = 0;
  for (const { sizeBytes } of left) {
    const count = sizes.get(sizeBytes) ?? 0;
    if (count > 0) same++;
    sizes.set(sizeBytes, count - 1);
  }
  return same >= left.length * 0.8;
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
