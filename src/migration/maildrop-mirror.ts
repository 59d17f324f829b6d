/**
 * The maildrop of an account whose legacy server has POP3: what the old server lists, and which message here each
 * of it is. A client is shown it from here only when that is known of every message; until then the old server
 * serves it.
 */
import { isUnavailable, MailError } from "../errors.ts";
import { closeWhenAborted, type Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { Logger } from "../log.ts";
import type { MailboxId } from "../mail/ids.ts";
import { nameByUidl } from "../mail/made-uidl.ts";
import type { MaildropChange, MaildropEntry, MaildropMessageId } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { anyOf, breathe, waitWith } from "../waiting.ts";
import { withoutAccepted } from "./accepted-uidls.ts";
import { answerInTime, defaultPatienceMs, type InTime } from "./answer-in-time.ts";
import { followListing, pairUp } from "./follow-maildrop.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import {
  isNumbering,
  type ListedMessage,
  lacksUidls,
  listedThere,
  listingOf,
  numbered,
} from "./maildrop-listing.ts";
import { headerHere, headerThere, isLeftForLater, matchMaildrop, type PrintCache } from "./match-maildrop.ts";
import { chunks } from "./pull-meta.ts";
import { certainNumbers, removeNumbers } from "./remove-from-maildrop.ts";
import type { Pop3Side } from "./uidl-match.ts";

/** What a client gets to see, in order. */
export type OpenedMaildrop =
  /** Every message is known: the old server is not needed any more. */
  | {
      readonly kind: "ours";
      readonly entries: readonly MaildropEntry[];
      /** INBOX holds messages that the old server does not know of. */
      readonly hasOthers: boolean;
    }
  /** The caller ends the session. */
  | { readonly kind: "theirs"; readonly messages: readonly ListedMessage[]; readonly session: Pop3Session };

export interface MaildropMirror {
  /** For a client. Throws the old server's refusal, INUSE and UNAVAILABLE. */
  open(signal: AbortSignal): Promise<OpenedMaildrop>;
  /**
   * Matches what is not matched yet; the mailboxes whose messages may have got other UIDLs, none where nothing has
   * changed. Throws INUSE while a client has the maildrop of the old server.
   */
  match(): Promise<readonly MailboxMirror[]>;
  /** The next `match` looks, whatever is known. */
  matchAnew(): void;
  /** A client deletes these at the old server, in the session that it was given. */
  noteRemoved(entries: readonly MaildropEntry[]): Promise<void>;
  /** And they are gone there: QUIT was answered with OK. */
  noteGone(entries: readonly MaildropEntry[]): Promise<void>;
  /**
   * Deletes at the old server those of the entries of which its listing tells for certain which messages they are:
   * these are given back, and IMAP has to delete the others. undefined where there is no IMAP.
   */
  readonly removeThere:
    | ((entries: readonly MaildropEntry[], signal: AbortSignal) => Promise<readonly MaildropEntry[]>)
    | undefined;
  /** Deletes there what was deleted here, where that has not gone there as it happened. */
  writeThrough(signal: AbortSignal): Promise<void>;
  /** For people: each message that could not be matched, with the reason. */
  problems(): readonly string[];
}

export interface MaildropMirrorOptions {
  readonly store: AccountStore;
  readonly source: Pop3Source;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Where messages of the maildrop may be. */
  readonly mailboxes: (signal: AbortSignal) => Promise<readonly MailboxMirror[]>;
  /** A client deletes it at the old POP3 server; undefined where it is not known which message here it is. */
  readonly onRemoving: (message: MaildropMessageId | undefined) => void;
  /** There is something left to match, in the background. */
  readonly wake: () => void;
  /** What a client gets while messages are not matched. */
  readonly onUnmatched: "passthrough" | "refuse";
  /** How long clients wait where all is here. */
  readonly clientsWaitMs?: number | undefined;
}

/** Written before others get a turn. */
const rowsPerTurn = 5_000;
/** Of a client that waits: about as long as a login may take. */
const questionsOfClient = 100;
/** How long a client waits for the IMAP side. */
const patienceMs = 10_000;
/** Mail may be listed by POP3 later than by IMAP. */
const matchedForMs = 5 * 60_000;

/** A client waits, and is served whatever cannot be had. */
type Asker = "client" | "background";

interface Look {
  readonly messages: readonly ListedMessage[];
  /** False where IMAP could not be asked. */
  readonly isMatched: boolean;
}

export function openMaildropMirror(options: MaildropMirrorOptions): MaildropMirror {
  const { store, source, logger, signal: closing, clientsWaitMs = defaultPatienceMs } = options;
  const prints: PrintCache = new Map();
  /** What the last whole matching saw: where nothing has changed since, the old server is not asked again. */
  let matchedAt: { readonly state: string; readonly until: number } | undefined;

  const keepOrServe = async (asker: Asker, keep: () => void | Promise<void>): Promise<void> => {
    try {
      await keep();
    } catch (error) {
      // A full disk is no reason to turn a client away.
      if (!(error instanceof StoreTrouble) || asker !== "client") throw error;
      logger.error({ err: error }, "the maildrop could not be written down");
    }
  };
  /** The IMAP side is looked at after the listing: what that names is there. */
  const lookAt = async (session: Pop3Session, asker: Asker, signal: AbortSignal): Promise<Look> => {
    const before = new Map(store.mailboxes().map(({ id, uidNext }) => [id, uidNext]));
    const listing = await listingOf(session, store);
    const mailboxes = await candidates(asker, signal);
    const isStale = mailboxes && staleIn(mailboxes);
    const isLost = (entry: MaildropEntry): boolean => isStale?.(entry) === true;
    const kept = await believed(session, listing, mailboxes, signal);
    const { entries, change } = followListing(kept, listing, "match-anew", isLost);
    await keepOrServe(asker, () => changeInSteps(store, change));
    if (!mailboxes) return { messages: numbered(listing, entries), isMatched: false };
    const maxQuestions = asker === "client" ? questionsOfClient : Number.POSITIVE_INFINITY;
    const present = entries.map((entry) => (isLost(entry) ? { ...entry, message: undefined } : entry));
    const request = { store, listing, entries: present, mailboxes, session, prints, maxQuestions, signal };
    const matched = await matchMaildrop(request);
    const put = matched.filter((entry, index) => entry !== entries[index]);
    await keepOrServe(asker, () => changeInSteps(store, { removed: [], put }));
    await keepOrServe(asker, () => {
      for (const { state } of mailboxes) {
        const { id } = state.record;
        store.maildrop.noteListedUpTo(id, before.get(id) ?? state.record.uidNext);
      }
    });
    if (matched.every(isMatched)) prints.clear();
    return { messages: numbered(listing, matched), isMatched: true };
  };
  /** Where UIDLs count the messages of a session those of an earlier one may be others by now. */
  const believed = async (
    session: Pop3Session,
    listing: readonly Pop3Side[],
    mailboxes: readonly MailboxMirror[] | undefined,
    signal: AbortSignal,
  ): Promise<readonly MaildropEntry[]> => {
    const kept = await store.maildrop.entries();
    if (!isNumbering(listing)) return kept;
    prints.clear();
    if (mailboxes && (await isLastAsBefore({ session, listing, kept, mailboxes, signal }))) return kept;
    return kept.map((entry) => ({ ...entry, message: undefined, problem: undefined }));
  };
  /** undefined while the legacy IMAP server is away, or does not show them. A client does not wait for long. */
  const candidates = async (
    asker: Asker,
    signal: AbortSignal,
  ): Promise<readonly MailboxMirror[] | undefined> => {
    const patience = asker === "client" ? AbortSignal.timeout(patienceMs) : undefined;
    const waiting = patience ? anyOf(signal, patience) : signal;
    try {
      return await waitWith(options.mailboxes(waiting), waiting);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof MailError) && patience?.aborted !== true) throw error;
      logger.warn({ err: error }, "the maildrop is not matched now");
      return undefined;
    }
  };
  const kept = async (): Promise<readonly MaildropEntry[] | undefined> => {
    const entries = await store.maildrop.entries();
    return entries.length > 0 && entries.every(isMatched) ? entries : undefined;
  };
  // IMAP tells what has left.
  const noteRemoved = async (entries: readonly MaildropEntry[]): Promise<void> => {
    for (const { message } of entries) options.onRemoving(message);
  };
  /** IMAP is looked at after the listing: what left there before is not taken for what is listed here. */
  const certainOf = async (
    session: Pop3Session,
    entries: readonly MaildropEntry[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, MaildropEntry>> => {
    try {
      const listing = await listingOf(session, store);
      const mailboxes = await candidates("client", signal);
      return certainNumbers(
        listing,
        await store.maildrop.entries(),
        entries,
        mailboxes && staleIn(mailboxes),
      );
    } catch (error) {
      if (!lacksUidls(error)) throw error;
      return new Map();
    }
  };
  const matchAnew = (): void => {
    matchedAt = undefined;
  };
  const openSession = async (signal: AbortSignal): Promise<Pop3Session | undefined> => {
    try {
      return await source.open(signal);
    } catch (error) {
      // Somebody else has it: he may be about to change it.
      if (!isUnavailable(error) || error.code === "INUSE") throw error;
      logger.warn({ err: error }, "the old POP3 server is away");
      return undefined;
    }
  };

  const open: InTime<OpenedMaildrop>["ask"] = async (signal, follow) => {
    const session = await openSession(signal);
    if (!session) {
      const entries = await kept();
      if (!entries) throw new MailError("UNAVAILABLE", "The mail server behind is not available");
      return { kind: "ours", entries, hasOthers: false };
    }
    follow(session);
    const stopClosing = closeWhenAborted(session, signal);
    try {
      const look = await lookAt(session, "client", signal).catch((error: unknown) => {
        if (!lacksUidls(error)) throw error;
        logger.warn({ err: error }, "the maildrop is not matched now");
        return undefined;
      });
      const messages = look?.messages;
      const entries = messages?.map(({ entry }) => entry);
      if (entries?.some(isLeftForLater)) {
        matchAnew();
        options.wake();
      }
      if (!entries?.every(isMatched)) {
        if (options.onUnmatched === "refuse")
          throw new MailError("UNAVAILABLE", "This mailbox is being moved. Please try again later.");
        logger.info({ messages: entries?.length }, "the old POP3 server serves this session");
        return { kind: "theirs", messages: messages ?? (await listedThere(session)), session };
      }
      await session.quit().catch((error: unknown) => logger.debug({ err: error }, "QUIT was refused"));
      return { kind: "ours", entries, hasOthers: false };
    } catch (error) {
      session.close();
      signal.throwIfAborted();
      throw error;
    } finally {
      stopClosing();
    }
  };
  const fromHere = async (): Promise<OpenedMaildrop | undefined> => {
    const entries = await kept();
    if (!entries) return undefined;
    // What has come meanwhile is to be found.
    matchAnew();
    options.wake();
    return { kind: "ours", entries, hasOthers: false };
  };

  return {
    open: (signal) => answerInTime({ ask: open, fromHere, patienceMs: clientsWaitMs }, signal),
    async match() {
      const mailboxes = await options.mailboxes(closing);
      // Before the look: what comes while it lasts is not in it.
      const at = stateOf(mailboxes);
      if (matchedAt?.state === at && matchedAt.until > performance.now()) return [];
      const { isMatched } = await source.inBackground(closing, (session, signal) =>
        lookAt(session, "background", signal),
      );
      matchedAt = isMatched ? { state: at, until: performance.now() + matchedForMs } : undefined;
      return mailboxes;
    },
    matchAnew,
    async removeThere(entries, signal) {
      const session = await source.open(signal);
      const stopClosing = closeWhenAborted(session, signal);
      try {
        const certain = await certainOf(session, entries, signal);
        const removed = [...certain.values()];
        await noteRemoved(removed);
        await removeNumbers(session, certain.keys());
        return removed;
      } finally {
        stopClosing();
        session.close();
      }
    },
    noteRemoved,
    noteGone: async () => undefined,
    writeThrough: async () => undefined,
    problems: () => problemsOf(store),
  };
}

export const isMatched = ({ message }: MaildropEntry): boolean => message !== undefined;

/** For people. */
export function problemsOf(store: AccountStore): readonly string[] {
  return withoutAccepted(store, store.maildrop.unmatched()).map(
    ({ uidl, problem }) => `${nameByUidl(uidl)}: ${problem}`,
  );
}

interface LastRequest {
  readonly session: Pop3Session;
  readonly listing: readonly Pop3Side[];
  readonly kept: readonly MaildropEntry[];
  readonly mailboxes: readonly MailboxMirror[];
  readonly signal: AbortSignal;
}

/** The last one that is known tells: where one before it has left, another message stands in its place. */
async function isLastAsBefore({ session, listing, kept, mailboxes, signal }: LastRequest): Promise<boolean> {
  const known = pairUp(kept, listing);
  const index = known.findLastIndex((entry) => entry?.message !== undefined);
  const [listed, message] = [listing[index], known[index]?.message];
  if (!listed || !message) return true;
  const mailbox = mailboxes.find(({ state }) => state.record.id === message.mailbox);
  if (mailbox?.state.table.get(message.uid) === undefined) return false;
  const here = await headerHere(mailbox, message.uid, signal);
  return here !== undefined && here === (await headerThere(session, listed.number));
}

/** What only adds or tells more may come bit by bit. */
async function changeInSteps({ maildrop }: AccountStore, { removed, put }: MaildropChange): Promise<void> {
  if (removed.length > 0) return maildrop.change({ removed, put });
  for (const part of chunks(put, rowsPerTurn)) {
    maildrop.change({ removed: [], put: part });
    await breathe();
  }
}

/** Whether the message that an entry was is not there any more: it may have come back under another UID. */
function staleIn(mailboxes: readonly MailboxMirror[]): (entry: MaildropEntry) => boolean {
  const byId = new Map<MailboxId, MailboxMirror>(
    mailboxes.map((mailbox) => [mailbox.state.record.id, mailbox]),
  );
  return ({ message }) =>
    message !== undefined && byId.get(message.mailbox)?.state.table.get(message.uid) === undefined;
}

function stateOf(mailboxes: readonly MailboxMirror[]): string {
  return mailboxes
    .map(
      ({ state: { record, table } }) =>
        `${record.id} ${record.uidValidity} ${record.uidNext} ${table.uids.length}`,
    )
    .join("\n");
}
