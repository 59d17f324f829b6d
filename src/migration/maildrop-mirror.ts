/**
 * The maildrop of an account whose legacy server has POP3: what the old server lists, and which message here each
 * of it is. A client is shown it from here only when that is known of every message; until then the old server
 * serves it.
 */
import { isUnavailable, MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { Logger } from "../log.ts";
import { type MailboxId, noUidl, type Uidl } from "../mail/ids.ts";
import type { MaildropChange, MaildropEntry, MaildropMessageId } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { followListing } from "./follow-maildrop.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { matchMaildrop, type PrintCache } from "./match-maildrop.ts";
import { chunks } from "./pull-meta.ts";
import type { Pop3Side } from "./uidl-match.ts";
import { breathe } from "./waiting.ts";

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

export interface ListedMessage {
  /** In the old server's session. */
  readonly number: number;
  readonly entry: MaildropEntry;
}

export interface MaildropMirror {
  /** For a client. Throws the old server's refusal, INUSE and UNAVAILABLE. */
  open(signal: AbortSignal): Promise<OpenedMaildrop>;
  /**
   * Matches what is not matched yet; the mailboxes whose messages may have got other UIDLs, none where nothing has
   * changed. Throws INUSE while a client has the maildrop of the old server.
   */
  match(): Promise<readonly MailboxMirror[]>;
  /** A client deletes these at the old server, in the session that it was given. */
  noteRemoved(entries: readonly MaildropEntry[]): Promise<void>;
  /**
   * Deletes these at the old server by their UIDLs: which of several equal messages is meant, it alone knows. undefined
   * where that is known here.
   */
  readonly removeThere:
    | ((entries: readonly MaildropEntry[], signal: AbortSignal) => Promise<void>)
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
  /** A client deletes it at the old POP3 server. */
  readonly onRemoving: (message: MaildropMessageId) => void;
  /** What a client gets while messages are not matched. */
  readonly onUnmatched: "passthrough" | "refuse";
}

/** Written before others get a turn. */
const rowsPerTurn = 5_000;
/** Of a client that waits: about as long as a login may take. */
const questionsOfClient = 100;

export function openMaildropMirror(options: MaildropMirrorOptions): MaildropMirror {
  const { store, source, logger, signal: closing } = options;
  const prints: PrintCache = new Map();
  /** What the last whole matching saw: where nothing has changed since, the old server is not asked again. */
  let matchedAt: string | undefined;

  /** A full disk is no reason to turn a client away. */
  const keepOrServe = async (change: MaildropChange): Promise<void> => {
    try {
      await changeInSteps(store, change);
    } catch (error) {
      if (!(error instanceof StoreTrouble)) throw error;
      logger.error({ err: error }, "the maildrop could not be written down");
    }
  };
  /** The IMAP side is looked at after the listing: what that names is there. */
  const lookAt = async (
    session: Pop3Session,
    maxQuestions: number,
    signal: AbortSignal,
  ): Promise<readonly ListedMessage[]> => {
    const before = new Map(store.mailboxes().map(({ id, uidNext }) => [id, uidNext]));
    const listing = await listingOf(session);
    const mailboxes = await candidates(signal);
    const byId = mailboxes && new Map(mailboxes.map((mailbox) => [mailbox.state.record.id, mailbox]));
    const isLost = (entry: MaildropEntry): boolean => byId !== undefined && isStale(entry, byId);
    const kept = await store.maildrop.entries();
    const { entries, change } = followListing(kept, listing, "match-anew", isLost);
    await keepOrServe(change);
    if (!mailboxes) return numbered(listing, entries);
    const present = entries.map((entry) => (isLost(entry) ? { ...entry, message: undefined } : entry));
    const request = { store, listing, entries: present, mailboxes, session, prints, maxQuestions, signal };
    const matched = await matchMaildrop(request);
    const put = matched.filter((entry, index) => entry !== entries[index]);
    await keepOrServe({ removed: [], put });
    for (const { state } of mailboxes) {
      const { id } = state.record;
      store.maildrop.noteListedUpTo(id, before.get(id) ?? state.record.uidNext);
    }
    if (matched.every(isMatched)) prints.clear();
    return numbered(listing, matched);
  };
  /** undefined while the legacy IMAP server is away. */
  const candidates = async (signal: AbortSignal): Promise<readonly MailboxMirror[] | undefined> => {
    try {
      return await options.mailboxes(signal);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
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
    for (const { message } of entries) if (message) options.onRemoving(message);
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

  return {
    async open(signal) {
      const session = await openSession(signal);
      if (!session) {
        const entries = await kept();
        if (!entries) throw new MailError("UNAVAILABLE", "The mail server behind is not available");
        return { kind: "ours", entries, hasOthers: false };
      }
      try {
        const messages = await lookAt(session, questionsOfClient, signal).catch((error: unknown) => {
          if (!lacksUidls(error)) throw error;
          logger.warn({ err: error }, "the maildrop is not matched now");
          return undefined;
        });
        const entries = messages?.map(({ entry }) => entry);
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
        throw error;
      }
    },
    async match() {
      const mailboxes = await options.mailboxes(closing);
      // Before the look: what comes while it lasts is not in it.
      const at = stateOf(mailboxes);
      if (matchedAt === at) return [];
      await source.inBackground(closing, async (session, signal) => {
        await lookAt(session, Number.POSITIVE_INFINITY, signal);
        matchedAt = at;
      });
      return mailboxes;
    },
    removeThere: async (entries, signal) => {
      const session = await source.open(signal);
      try {
        const numbers = new Map<string, number[]>();
        for (const [number, uidl] of await session.uidls())
          numbers.set(uidl, [...(numbers.get(uidl) ?? []), number]);
        const found = entries.flatMap(({ uidl }) => numbers.get(uidl)?.shift() ?? []);
        await noteRemoved(entries);
        await Promise.all(found.map((number) => session.remove(number)));
        await session.quit();
      } finally {
        session.close();
      }
    },
    noteRemoved,
    writeThrough: async () => undefined,
    problems: () => problemsOf(store),
  };
}

export const isMatched = ({ message }: MaildropEntry): boolean => message !== undefined;

/** For people. */
export function problemsOf({ maildrop }: AccountStore): readonly string[] {
  return maildrop.unmatched().map(({ uidl, problem }) => `POP3 message with the UIDL ${uidl}: ${problem}`);
}

/**
 * LIST and UIDL in the order of the numbers. Throws UNAVAILABLE where they do not agree, asked twice: what only one of
 * them names would be lost.
 */
export async function listingOf(session: Pop3Session): Promise<readonly Pop3Side[]> {
  const listing = (await listOnce(session)) ?? (await listOnce(session));
  if (!listing) throw new UnevenListing();
  return listing;
}

class UnevenListing extends MailError {
  constructor() {
    super("UNAVAILABLE", "The old POP3 server's LIST and UIDL name different messages");
  }
}

/** Its messages cannot be known by their UIDLs: it has none, or not for all. */
export function lacksUidls(error: unknown): boolean {
  return error instanceof UnevenListing || (error instanceof MailError && error.code === "CANNOT");
}

/** What the server lists, with nothing written down of it: position 0, and no UIDL where there is none. */
export async function listedThere(session: Pop3Session): Promise<readonly ListedMessage[]> {
  const sizes = await session.list();
  const uidls = await session.uidls().catch((error: unknown) => {
    if (!lacksUidls(error)) throw error;
    return new Map<number, Uidl>();
  });
  return [...sizes].map(([number, sizeBytes]) => ({
    number,
    entry: {
      position: 0,
      uidl: uidls.get(number) ?? noUidl,
      sizeBytes,
      message: undefined,
      isRemoved: false,
      problem: undefined,
    },
  }));
}

async function listOnce(session: Pop3Session): Promise<readonly Pop3Side[] | undefined> {
  // UIDL first: Mailutils writes what it tells into the messages, which are longer from then on.
  const [uidls, sizes] = await Promise.all([session.uidls(), session.list()]);
  const listing = [...sizes]
    .sort(([a], [b]) => a - b)
    .flatMap(([number, sizeBytes]): Pop3Side[] => {
      const uidl = uidls.get(number);
      return uidl === undefined ? [] : [{ number, uidl, sizeBytes }];
    });
  return listing.length === sizes.size && sizes.size === uidls.size ? listing : undefined;
}

/** Each entry with its number in the session. */
export function numbered(listing: readonly Pop3Side[], entries: readonly MaildropEntry[]): ListedMessage[] {
  return listing.flatMap(({ number }, index) => {
    const entry = entries[index];
    return entry ? [{ number, entry }] : [];
  });
}

/** What only adds or tells more may come bit by bit. */
async function changeInSteps({ maildrop }: AccountStore, { removed, put }: MaildropChange): Promise<void> {
  if (removed.length > 0) return maildrop.change({ removed, put });
  for (const part of chunks(put, rowsPerTurn)) {
    maildrop.change({ removed: [], put: part });
    await breathe();
  }
}

/** The message it was is not there any more: it may have come back under another UID. */
function isStale({ message }: MaildropEntry, byId: ReadonlyMap<MailboxId, MailboxMirror>): boolean {
  return message !== undefined && byId.get(message.mailbox)?.state.table.get(message.uid) === undefined;
}

function stateOf(mailboxes: readonly MailboxMirror[]): string {
  return mailboxes
    .map(
      ({ state: { record, table } }) =>
        `${record.id} ${record.uidValidity} ${record.uidNext} ${table.uids.length}`,
    )
    .join("\n");
}
