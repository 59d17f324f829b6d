/** What an old POP3 server lists, held against nothing yet. */
import { isRefused, MailError, unlessRefused } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import { noUidl, type Uidl } from "../mail/ids.ts";
import { isMade, madeOfHeader, madeOfNumber, withoutMark } from "../mail/made-uidl.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { headerThere } from "./match-maildrop.ts";
import type { Pop3Side } from "./uidl-match.ts";

export interface ListedMessage {
  /** In the old server's session. */
  readonly number: number;
  readonly entry: MaildropEntry;
}

/** Without a UIDL among those that have one: each is asked about. */
const maxNameless = 100;

/**
 * LIST and UIDL in the order of the numbers; what has no UIDL gets a name made here (made-uidl.ts). Throws UNAVAILABLE
 * where they do not agree otherwise, asked twice: what only one of them names would be lost.
 */
export async function listingOf(
  session: Pop3Session,
  { maildrop }: Pick<AccountStore, "maildrop">,
): Promise<readonly Pop3Side[]> {
  const first = await listOnce(session);
  if (first === "no UIDLs") {
    // A server that has had them has them: it will not say no the next time.
    const kept = await maildrop.entries();
    if (kept.some(({ uidl }) => !isMade(uidl))) throw new UnevenListing();
    return inOrder(await session.list(), madeOfNumber);
  }
  if (first.isEven) return first.listing;
  const second = await listOnce(session);
  if (second === "no UIDLs") throw new UnevenListing();
  return second.isEven ? second.listing : withNameless(session, second);
}

async function withNameless(session: Pop3Session, { uidls, sizes }: Listed): Promise<readonly Pop3Side[]> {
  const nameless = [...sizes.keys()].filter((number) => !uidls.has(number));
  if (nameless.length > maxNameless || sizes.size - nameless.length < uidls.size) throw new UnevenListing();
  const named = new Map(uidls);
  for (const number of nameless) {
    const print = await unlessRefused(headerThere(session, number));
    named.set(number, print === undefined ? madeOfNumber(number) : madeOfHeader(print));
  }
  return inOrder(sizes, (number) => named.get(number) ?? noUidl);
}

class UnevenListing extends MailError {
  constructor() {
    super("UNAVAILABLE", "The old POP3 server's LIST and UIDL name different messages");
  }
}

/** Its messages cannot be known by their UIDLs: it has none, or not for all. */
export function lacksUidls(error: unknown): boolean {
  return error instanceof UnevenListing || isRefused(error);
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
      print: undefined,
    },
  }));
}

interface Listed {
  readonly uidls: ReadonlyMap<number, Uidl>;
  readonly sizes: ReadonlyMap<number, number>;
  readonly listing: readonly Pop3Side[];
  readonly isEven: boolean;
}

async function listOnce(session: Pop3Session): Promise<Listed | "no UIDLs"> {
  // UIDL first: Mailutils writes what it tells into the messages, which are longer from then on.
  const [uidls, sizes] = await Promise.all([unlessRefused(session.uidls()), session.list()]);
  if (!uidls) return "no UIDLs";
  const listing = inOrder(sizes, (number) => uidls.get(number));
  const isEven = listing.length === sizes.size && sizes.size === uidls.size;
  return { uidls, sizes, listing, isEven };
}

function inOrder(
  sizes: ReadonlyMap<number, number>,
  uidlOf: (number: number) => Uidl | undefined,
): readonly Pop3Side[] {
  return [...sizes]
    .sort(([a], [b]) => a - b)
    .flatMap(([number, sizeBytes]): Pop3Side[] => {
      const uidl = uidlOf(number);
      return uidl === undefined ? [] : [{ number, uidl, sizeBytes }];
    });
}

/** Each entry with its number in the session. */
export function numbered(listing: readonly Pop3Side[], entries: readonly MaildropEntry[]): ListedMessage[] {
  return listing.flatMap(({ number }, index) => {
    const entry = entries[index];
    return entry ? [{ number, entry }] : [];
  });
}

/**
 * UIDLs that count the messages of the session: each removal gives those behind it another one. A server whose UIDLs
 * are UIDs looks like that until the first message is removed.
 */
export function isNumbering(listing: readonly Pop3Side[]): boolean {
  const numbers = listing.map(({ uidl }) => withoutMark(uidl));
  return numbers.every((text, index) => {
    const before = numbers[index - 1];
    return /^\d{1,9}$/.test(text) && (before === undefined || Number(text) === Number(before) + 1);
  });
}
