/**
 * Which message that was fetched by POP3 each message of a new listing is. By its UIDL, and where that may mean
 * another message by now, or a message another UIDL, by size and header: some servers count the messages of each
 * session, some give other UIDLs after a repair or an upgrade, and some each time.
 */
import { MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { pairUp } from "./follow-maildrop.ts";
import { isNumbering } from "./maildrop-listing.ts";
import { headerThere } from "./match-maildrop.ts";
import { chunks } from "./pull-meta.ts";
import { groups, type Pop3Side } from "./uidl-match.ts";

export interface Identification {
  /**
   * The kept entry of each message of the listing; undefined for one that is new. Throws UidlsDoNotLast where that
   * takes more than `maxQuestions`, or where the server has given most of its messages other UIDLs twice in a row.
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

type Known = (MaildropEntry | undefined)[];

export function createIdentification(): Identification {
  /** Headers that were asked for, by UIDL and size: what was cut off goes on. */
  const prints = new Map<string, string>();
  /** The many new UIDLs of the last look, where there were so many. */
  let lastNames: ReadonlySet<string> | undefined;

  const refuseChangingNames = (news: readonly Pop3Side[]): void => {
    const before = lastNames;
    lastNames = news.length > many ? new Set(news.map(({ uidl }) => uidl)) : undefined;
    if (!before || !lastNames) return;
    const same = news.filter(({ uidl }) => before.has(uidl)).length;
    if (same < news.length * mostOf) throw new UidlsDoNotLast();
  };
  const ask = async (
    { session, listing, signal }: IdentifyRequest,
    asked: readonly Pop3Side[],
  ): Promise<(message: Pop3Side) => string | undefined> => {
    // A number says nothing in another session.
    if (isNumbering(listing)) prints.clear();
    for (const part of chunks(
      asked.filter((message) => !prints.has(nameOf(message))),
      questionsAtOnce,
    )) {
      signal.throwIfAborted();
      await Promise.all(
        part.map(async (message) => {
          prints.set(nameOf(message), await headerThere(session, message.number));
        }),
      );
    }
    return (message) => prints.get(nameOf(message));
  };
  /** The last one tells: where one before it has left, another message stands in its place. */
  const hasShifted = async (request: IdentifyRequest, known: Known): Promise<boolean> => {
    const { listing } = request;
    if (!isNumbering(listing)) return false;
    const index = known.findLastIndex((entry) => entry?.print !== undefined);
    const last = listing[index];
    if (!last) return false;
    const printOf = await ask(request, [last]);
    return printOf(last) !== known[index]?.print;
  };

  return {
    async identify(request) {
      const { kept, listing, maxQuestions } = request;
      // Of several with one UIDL those that a client has deleted have left first.
      let known: Known = [...pairUp(kept, listing, ({ isRemoved }) => isRemoved)];
      if (await hasShifted(request, known)) known = listing.map(() => undefined);
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
      return known;
    },
  };
}

const nameOf = ({ uidl, sizeBytes }: Pop3Side): string => `${sizeBytes} ${uidl}`;

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

/** Those of one size and one header by their order. */
function withRenamed(
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
  known: Known,
  printOf: (message: Pop3Side) => string | undefined,
): Known {
  const left = groups(leftOf(kept, known), ({ sizeBytes, print }) => `${sizeBytes} ${print}`);
  return known.map((entry, index) => {
    const message = listing[index];
    if (entry || !message) return entry;
    return left.get(`${message.sizeBytes} ${printOf(message)}`)?.shift();
  });
}
