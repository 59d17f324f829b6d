/**
 * Which message that was fetched by POP3 each message of a new listing is. By its UIDL, and where that may mean
 * another message by now, or a message another UIDL, by size and header: some servers count the messages of each
 * session, some give other UIDLs after a repair or an upgrade, and some each time.
 */
import { isRefused, MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { pairUp, sizedKey } from "./follow-maildrop.ts";
import { isNumbering } from "./maildrop-listing.ts";
import { headerThere } from "./match-maildrop.ts";
import { chunks } from "./pull-meta.ts";
import { groups, type Pop3Side } from "./uidl-match.ts";

export interface Identification {
  /**
   * The kept entry of each message of the listing; undefined for one that is new. Throws UidlsDoNotLast where that
   * takes more than `maxQuestions`, or where the server has given many messages other UIDLs a short time ago.
   */
  identify(request: IdentifyRequest): Promise<readonly (MaildropEntry | undefined)[]>;
}

export interface IdentifyRequest {
  readonly session: Pop3Session;
  readonly kept: readonly MaildropEntry[];
  readonly listing: readonly Pop3Side[];
  readonly maxQuestions: number;
  readonly signal: AbortSignal;
}

/** Nothing can be kept apart by them: each look would compare all mail once more. */
export class UidlsDoNotLast extends MailError {
  constructor() {
    super("CANNOT", "The old POP3 server gives its messages other UIDLs each time");
  }
}

/** So many other UIDLs at once happen once, at a server that keeps them. */
const many = 100;
/** Sent ahead where the server bears it. */
const questionsAtOnce = 20;
const mostOf = 0.8;

/** How long a server may go on changing many of them before they are compared once more. */
const changingMs = 10 * 60_000;
/** How often a message may break the connection before it is not asked about any more. */
const maxBreaks = 3;

type Known = readonly (MaildropEntry | undefined)[];

export function createIdentification(): Identification {
  /** Headers that were asked for, by UIDL and size: what was cut off goes on. */
  const prints = new Map<string, string>();
  /** How often the connection broke at a message. */
  const breaks = new Map<string, number>();
  /** The many new UIDLs of the last look that had so many. */
  let last: { readonly names: ReadonlySet<string>; readonly at: number } | undefined;

  const refuseChangingNames = (news: readonly Pop3Side[]): void => {
    if (news.length <= many) return;
    const before = last;
    const [names, at] = [new Set(news.map(({ uidl }) => uidl)), performance.now()];
    const same = news.filter(({ uidl }) => before?.names.has(uidl)).length;
    last = { names, at: before?.at ?? at };
    if (before && same < news.length * mostOf && at - before.at < changingMs) throw new UidlsDoNotLast();
    last = { names, at };
  };
  const ask = async (
    { session, listing, signal }: IdentifyRequest,
    asked: readonly Pop3Side[],
  ): Promise<(message: Pop3Side) => string | undefined> => {
    // A number says nothing in another session.
    if (isNumbering(listing)) prints.clear();
    const isOpen = (message: Pop3Side): boolean =>
      !prints.has(sizedKey(message)) && (breaks.get(sizedKey(message)) ?? 0) < maxBreaks;
    for (const part of chunks(asked.filter(isOpen), questionsAtOnce)) {
      signal.throwIfAborted();
      const answers = await Promise.allSettled(part.map(({ number }) => headerThere(session, number)));
      for (const [index, answer] of answers.entries()) {
        const message = part[index];
        if (!message) continue;
        if (answer.status === "fulfilled") prints.set(sizedKey(message), answer.value);
        else if (!isRefused(answer.reason)) {
          breaks.set(sizedKey(message), (breaks.get(sizedKey(message)) ?? 0) + 1);
          throw answer.reason;
        }
      }
    }
    return (message) => prints.get(sizedKey(message));
  };
  /** The last one tells: where one before it has left, another message stands in its place. */
  const hasShifted = async (request: IdentifyRequest, known: Known): Promise<boolean> => {
    const { listing, kept } = request;
    if (!isNumbering(listing)) return false;
    // What is listed no more and stays has a number that is another's by now.
    if (new Set(kept.map(({ uidl }) => uidl)).size < kept.length) return true;
    const index = known.findLastIndex((entry) => entry?.print !== undefined);
    const message = listing[index];
    if (!message) return false;
    const print = (await ask(request, [message]))(message);
    return print !== undefined && print !== known[index]?.print;
  };

  return {
    async identify(request) {
      const { kept, listing, maxQuestions } = request;
      const byUidl = withoutReused(listing, pairUp(kept, listing, isRemoved));
      const isShifted = await hasShifted(request, byUidl);
      let known: Known = isShifted ? listing.map(() => undefined) : byUidl;
      const resized = listing.filter((message, index) => isResized(known[index], message));
      const news = newOnes(kept, listing, known);
      if (resized.length + news.length > maxQuestions) throw new UidlsDoNotLast();
      refuseChangingNames(news);
      if (resized.length + news.length > 0) {
        const printOf = await ask(request, [...resized, ...news]);
        known = known.map((entry, index) => {
          const message = listing[index];
          const isOther = message && isResized(entry, message) && printOf(message) !== entry?.print;
          return isOther ? undefined : entry;
        });
        known = withRenamed(kept, listing, known, printOf);
      }
      prints.clear();
      // Headers that are not the same twice tell nothing.
      return isShifted && countOf(known) < countOf(byUidl) / 2 ? byUidl : known;
    },
  };
}

const isRemoved = (entry: MaildropEntry): boolean => entry.isRemoved;

const countOf = (known: readonly (MaildropEntry | undefined)[]): number =>
  known.filter((entry) => entry !== undefined).length;

/** What was deleted unread has no print: its UIDL may be that of new mail by now. */
function withoutReused(
  listing: readonly Pop3Side[],
  known: readonly (MaildropEntry | undefined)[],
): readonly (MaildropEntry | undefined)[] {
  const counts = isNumbering(listing);
  return known.map((entry, index) => {
    if (!entry?.isRemoved || entry.print !== undefined) return entry;
    return counts || entry.sizeBytes !== listing[index]?.sizeBytes ? undefined : entry;
  });
}

const isResized = (entry: MaildropEntry | undefined, { sizeBytes }: Pop3Side): boolean =>
  entry?.print !== undefined && entry.sizeBytes !== sizeBytes;

/** Those that are not known, of a size that one has which is not listed. */
function newOnes(
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
  known: Known,
): readonly Pop3Side[] {
  const sizes = new Set(leftOf(kept, known).map(({ sizeBytes }) => sizeBytes));
  return listing.filter(({ sizeBytes }, index) => known[index] === undefined && sizes.has(sizeBytes));
}

function leftOf(kept: readonly MaildropEntry[], known: Known): readonly MaildropEntry[] {
  const listed = new Set(known);
  return kept.filter((entry) => entry.print !== undefined && !listed.has(entry));
}

/**
 * Those of one size and one header by their order. What a client has deleted is among them only where others have
 * other UIDLs, too: else the same bytes have been delivered once more.
 */
function withRenamed(
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
  known: Known,
  printOf: (message: Pop3Side) => string | undefined,
): Known {
  const left = leftOf(kept, known);
  const pairWith = (entries: readonly MaildropEntry[]): Known => {
    const byPrint = groups(entries, ({ sizeBytes, print }) => `${sizeBytes} ${print}`);
    return known.map((entry, index) => {
      const message = listing[index];
      if (entry || !message) return entry;
      return byPrint.get(`${message.sizeBytes} ${printOf(message)}`)?.shift();
    });
  };
  const others = pairWith(left.filter((entry) => !entry.isRemoved));
  return countOf(others) > countOf(known) ? pairWith(left) : others;
}
