/** What an old POP3 server lists, held against nothing yet. */
import { isRefused, MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import { noUidl, type Uidl } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { Pop3Side } from "./uidl-match.ts";

export interface ListedMessage {
  /** In the old server's session. */
  readonly number: number;
  readonly entry: MaildropEntry;
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

/**
 * UIDLs that count the messages of the session: each removal gives those behind it another one. A server whose UIDLs
 * are UIDs looks like that until the first message is removed.
 */
export function isNumbering(listing: readonly Pop3Side[]): boolean {
  return listing.every(({ uidl }, index) => {
    const before = listing[index - 1]?.uidl;
    return /^\d{1,9}$/.test(uidl) && (before === undefined || Number(uidl) === Number(before) + 1);
  });
}
