/** DELE for messages of an earlier session of the old server: only where it is certain which ones they are now. */
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { pairUp } from "./follow-maildrop.ts";
import { isNumbering } from "./maildrop-listing.ts";
import type { Pop3Side } from "./uidl-match.ts";

/** By number in the session whose listing it is; none where its UIDLs turn out to name other messages by now. */
export function certainNumbers(
  listing: readonly Pop3Side[],
  kept: readonly MaildropEntry[],
  entries: readonly MaildropEntry[],
  /** IMAP does not show the entry's message; undefined where it cannot be asked. */
  isStale: ((entry: MaildropEntry) => boolean) | undefined,
): ReadonlyMap<number, MaildropEntry> {
  if (isNumbering(listing)) return new Map();
  const known = pairUp(kept, listing);
  const isOther = (before: MaildropEntry | undefined, index: number): boolean =>
    before !== undefined && (before.sizeBytes !== listing[index]?.sizeBytes || isStale?.(before) === true);
  if (known.some(isOther)) return new Map();
  const wanted = new Map(entries.map((entry) => [placeOf(entry), entry]));
  const certain = new Map<number, MaildropEntry>();
  for (const [index, { number }] of listing.entries()) {
    const before = known[index];
    const entry = before && wanted.get(placeOf(before));
    if (entry) certain.set(number, entry);
  }
  return certain;
}

const placeOf = ({ position, uidl }: MaildropEntry): string => `${position} ${uidl}`;

/** Removes them and ends the session. Throws the first refusal, with all others removed. */
export async function removeNumbers(session: Pop3Session, numbers: Iterable<number>): Promise<void> {
  const removals = await Promise.allSettled([...numbers].map((number) => session.remove(number)));
  // RFC 1939 6: those that it has taken are removed now.
  await session.quit();
  for (const removal of removals) if (removal.status === "rejected") throw removal.reason;
}
