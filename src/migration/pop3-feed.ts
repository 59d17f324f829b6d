/**
 * Brings the maildrop of a legacy server that has POP3 only into INBOX: each message once, in the order of the
 * maildrop. What a client deletes here is deleted there; what others delete there goes here.
 *
 * What always holds
 * - Nothing is fetched twice (pop3-pull.ts).
 * - Nothing is deleted there but what a client has deleted.
 */
import { isRefused } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { Logger } from "../log.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { takeTurns } from "../waiting.ts";
import { createListingBelief } from "./believe-listing.ts";
import { arrange, type Placed, pairUp } from "./follow-maildrop.ts";
import type { DeletionRules } from "./follow-names.ts";
import { createIdentification } from "./identify-messages.ts";
import { removeMessages } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { type ListedMessage, lacksUidls, listedThere, listingOf } from "./maildrop-listing.ts";
import { problemsOf } from "./maildrop-mirror.ts";
import { sizesOf } from "./maildrop-sizes.ts";
import { createPop3Pull, isEntryHere } from "./pop3-pull.ts";
import { chunks } from "./pull-meta.ts";
import type { Pop3Side } from "./uidl-match.ts";

export interface Pop3Feed {
  /**
   * Takes in what the old server has now, and deletes there what is to be deleted. `onNews` is called once something of
   * it can be seen here.
   */
  run(onNews: () => void): Promise<void>;
  /** The listing of a client's session, held against what is here: whether all of it is. */
  look(
    session: Pop3Session,
  ): Promise<{ readonly messages: readonly ListedMessage[]; readonly isWhole: boolean }>;
  /** Every message that the old server listed last is here. */
  isWhole(): Promise<boolean>;
  /** With neither a look nor a run at the same time. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** A client deletes these at the old server, in the session that it was given. */
  noteRemoved(entries: readonly MaildropEntry[]): Promise<void>;
  /** And QUIT was answered with OK. */
  noteGone(entries: readonly MaildropEntry[]): Promise<void>;
  /** Somebody has decided: what is held is gone. */
  release(): void;
  /** When it should be looked at again, for what is doubted. */
  againInMs(): number | undefined;
  /** Somebody asks for all, what was put aside included. */
  retryNow(): void;
  problems(): readonly string[];
}

export interface Pop3FeedOptions {
  readonly store: AccountStore;
  readonly source: Pop3Source;
  readonly inbox: MailboxMirror;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly rules: Pick<DeletionRules, "confirmAfterMs">;
}

/** Of a client that waits. */
const questionsOfClient = 100;
/** Marked before it is looked whether a client has come. */
const removalsAtOnce = 20;

export function createPop3Feed(options: Pop3FeedOptions): Pop3Feed {
  const { store, source, inbox, logger, signal: closing, rules } = options;
  const { state } = inbox;
  const belief = createListingBelief({ state, confirmAfterMs: rules.confirmAfterMs });
  const identification = createIdentification();
  /** Who moves rows or messages of the maildrop is alone with it. */
  const inTurn = takeTurns();
  const pull = createPop3Pull({ store, inbox, sizes: sizesOf(source.server) });
  const isHere = isEntryHere(inbox);

  const isWhole = async (): Promise<boolean> =>
    (await store.maildrop.entries()).every((entry) => entry.isRemoved || isHere(entry));

  /** Takes the listing in: what has left goes, unless it is too much to be believed. */
  const follow = async (
    session: Pop3Session,
    maxQuestions: number,
    signal: AbortSignal,
  ): Promise<readonly ListedMessage[]> => {
    const listing = await listingOf(session, store);
    const kept = await store.maildrop.entries();
    const known = await identification.identify({ session, kept, listing, maxQuestions, signal });
    const isListed = new Set(known);
    const unlisted = kept.filter((entry) => !isListed.has(entry));
    const unbelieved = belief.judge(unlisted.filter((entry) => isHere(entry) && !entry.isRemoved));
    const stays = new Set(unbelieved);
    const gone = unlisted.filter((entry) => !stays.has(entry)).flatMap(({ message }) => message?.uid ?? []);
    // Messages first: a row without its message heals itself, a message without its row would get a UIDL of ours.
    await removeMessages(store, inbox, gone, "left");
    // Read anew: clients may have deleted some meanwhile.
    const now = await store.maildrop.entries();
    const rows = new Map(now.map((entry) => [entry.position, entry]));
    const placed = inPlace(listing, known, unbelieved).flatMap(({ listed, entry: before }): Placed[] => {
      const entry = before && rows.get(before.position);
      return listed ? [{ listed, entry }] : entry ? [{ entry }] : [];
    });
    const { entries, change } = arrange(now, placed, "same-when-resized");
    store.maildrop.change(change);
    return placed.flatMap(({ listed }, index) => {
      const entry = entries[index];
      return listed && entry ? [{ number: listed.number, entry }] : [];
    });
  };

  /** Those that it does not delete stay marked: they are tried again. */
  const removeThere = async (
    session: Pop3Session,
    messages: readonly ListedMessage[],
    signal: AbortSignal,
  ): Promise<readonly MaildropEntry[]> => {
    // Read anew: clients go on deleting while we pull.
    const entries = await store.maildrop.entries();
    const marked = new Map(entries.filter(isRemoved).map(({ position, uidl }) => [position, uidl]));
    const leaving = messages.filter(({ entry }) => marked.get(entry.position) === entry.uidl);
    const removed: MaildropEntry[] = [];
    for (const part of chunks(leaving, removalsAtOnce)) {
      // A client comes: QUIT removes what is marked so far.
      if (signal.aborted) break;
      const removals = await Promise.allSettled(part.map(({ number }) => session.remove(number)));
      for (const [index, { entry }] of part.entries()) {
        const removal = removals[index];
        if (removal?.status === "fulfilled") {
          removed.push(entry);
          continue;
        }
        const reason: unknown = removal?.reason;
        if (!isRefused(reason)) throw reason;
        store.maildrop.noteProblem(entry, `the old server does not delete it: ${reason.message}`);
      }
    }
    return removed;
  };
  /** They are gone there. */
  const drop = async (entries: readonly MaildropEntry[]): Promise<void> => {
    if (entries.length === 0) return;
    const uids = entries.flatMap(({ message }) => message?.uid ?? []);
    await removeMessages(store, inbox, uids, "left");
    store.maildrop.change({ removed: entries, put: [] });
  };

  const run = async (onNews: () => void): Promise<void> => {
    let removed: readonly MaildropEntry[] = [];
    for (let needsAnother = true; needsAnother; )
      await source.inBackground(closing, async (session, signal) => {
        const messages = await follow(session, Number.POSITIVE_INFINITY, signal);
        ({ needsAnother } = await pull.bring({ session, messages, signal, onNews }));
        if (!needsAnother) removed = await removeThere(session, messages, signal);
      });
    // QUIT was answered with OK.
    await drop(removed);
  };
  const look: Pop3Feed["look"] = async (session) => {
    try {
      const messages = await follow(session, questionsOfClient, closing);
      return { messages: messages.filter(({ entry }) => !entry.isRemoved), isWhole: await isWhole() };
    } catch (error) {
      if (!lacksUidls(error) && !(error instanceof StoreTrouble)) throw error;
      logger.warn({ err: error }, "the old POP3 server serves this session");
      return { messages: await listedThere(session), isWhole: false };
    }
  };

  return {
    run: (onNews) => inTurn(() => run(onNews)),
    look: (session) => inTurn(() => look(session)),
    alone: (work) => inTurn(work),
    isWhole,
    async noteRemoved(entries) {
      const { maildrop } = store;
      const written = entries.filter(({ position }) => position > 0);
      belief.expectAny(entries.length - written.length);
      const moved = written.filter((entry) => !maildrop.markEntryRemoved(entry));
      if (moved.length === 0) return;
      const kept = (await maildrop.entries()).filter((entry) => !entry.isRemoved);
      for (const entry of pairUp(
        kept,
        moved.map(({ uidl, sizeBytes }) => ({ number: 0, uidl, sizeBytes })),
      ))
        if (entry) maildrop.markEntryRemoved(entry);
    },
    async noteGone(entries) {
      const written = entries.filter(({ position }) => position > 0);
      await inTurn(() => drop(written)).catch((error: unknown) => {
        // They go with the next look.
        if (!(error instanceof StoreTrouble)) throw error;
        logger.error({ err: error }, "what was deleted could not be removed");
      });
    },
    release: () => belief.release(),
    againInMs: () => belief.againInMs(),
    retryNow: () => pull.retryNow(),
    problems: () => problemsOf(store),
  };
}

const isRemoved = (entry: MaildropEntry): boolean => entry.isRemoved;

/** The listing, and among it what is not listed and stays: where it stood. */
function inPlace(
  listing: readonly Pop3Side[],
  known: readonly (MaildropEntry | undefined)[],
  unbelieved: readonly MaildropEntry[],
): readonly Placed[] {
  const waiting = [...unbelieved];
  const placed: Placed[] = [];
  const lastKnown = known.findLastIndex((entry) => entry !== undefined);
  for (const [index, listed] of listing.entries()) {
    const entry = known[index];
    // What is new at the end comes behind all.
    const until = entry?.position ?? (index > lastKnown ? Number.POSITIVE_INFINITY : 0);
    while (waiting[0] && waiting[0].position < until)
      placed.push(...waiting.splice(0, 1).map((one) => ({ entry: one })));
    placed.push({ listed, entry });
  }
  return [...placed, ...waiting.map((entry) => ({ entry }))];
}
