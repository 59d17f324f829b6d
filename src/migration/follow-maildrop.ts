/**
 * What a new look at the legacy maildrop changes in what is kept of it: pure. A message that is known by its
 * UIDL keeps what it is matched with; what has left goes; what is new comes to the place where it is listed.
 */
import type { MaildropChange, MaildropEntry } from "../store/maildrop-table.ts";
import { groups, type Pop3Side } from "./uidl-match.ts";

export interface FollowedMaildrop {
  /** One for each message of the listing, in its order. */
  readonly entries: readonly MaildropEntry[];
  readonly gone: readonly MaildropEntry[];
  readonly change: MaildropChange;
}

/** What another size under the same UIDL means: maybe another message, or the same one for certain. */
export type ResizeRule = "match-anew" | "same-when-resized";

/** `listing` in the order of the maildrop. */
export function followListing(
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
  rule: ResizeRule,
  /** Of several with one UIDL these have left first. */
  isStale: (entry: MaildropEntry) => boolean = () => false,
): FollowedMaildrop {
  if (isUnchanged(kept, listing)) return { entries: kept, gone: [], change: { removed: [], put: [] } };
  const known = pairUp(kept, listing, isStale);
  const stays = new Set(known);
  const gone = kept.filter((entry) => !stays.has(entry));
  const positions = placesOf(known, kept.at(-1)?.position ?? 0);
  const entries = listing.map(({ uidl, sizeBytes }, index): MaildropEntry => {
    const before = known[index];
    const position = positions[index] ?? index + 1;
    if (!before)
      return { position, uidl, sizeBytes, message: undefined, isRemoved: false, problem: undefined };
    if (before.sizeBytes === sizeBytes)
      return before.position === position ? before : { ...before, position };
    const isSame = rule === "same-when-resized" || before.isRemoved;
    return { ...before, position, sizeBytes, message: isSame ? before.message : undefined };
  });
  const put = entries.filter((entry, index) => entry !== known[index]);
  return { entries, gone, change: { removed: [...gone, ...movedFrom(entries, known)], put } };
}

function isUnchanged(kept: readonly MaildropEntry[], listing: readonly Pop3Side[]): boolean {
  const isSame = ({ uidl, sizeBytes }: MaildropEntry, index: number): boolean =>
    uidl === listing[index]?.uidl && sizeBytes === listing[index].sizeBytes;
  return kept.length === listing.length && kept.every(isSame);
}

/**
 * Which kept entry each message of the listing is. Of several with one UIDL: the one of that size, and else by their
 * order, since a server that does so lists them in one order.
 */
export function pairUp(
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
  isStale: (entry: MaildropEntry) => boolean = () => false,
): readonly (MaildropEntry | undefined)[] {
  const distinct = new Map(kept.map((entry) => [entry.uidl, entry]));
  if (distinct.size === kept.length && new Set(listing.map(({ uidl }) => uidl)).size === listing.length)
    return listing.map(({ uidl }) => distinct.get(uidl));
  const stays = withoutDroppedTwins(kept, listing, isStale);
  const sized = groups(stays, sizedKey);
  const exact = listing.map((message) => sized.get(sizedKey(message))?.shift());
  const taken = new Set(exact);
  const others = groups(
    stays.filter((entry) => !taken.has(entry)),
    ({ uidl }) => uidl,
  );
  return listing.map(({ uidl }, index) => exact[index] ?? others.get(uidl)?.shift());
}

const sizedKey = ({ uidl, sizeBytes }: Pick<Pop3Side, "uidl" | "sizeBytes">): string =>
  `${sizeBytes} ${uidl}`;

/** Takes out of each group of one UIDL as many stale entries as it is bigger than what is listed. */
function withoutDroppedTwins(
  kept: readonly MaildropEntry[],
  listing: readonly Pop3Side[],
  isStale: (entry: MaildropEntry) => boolean,
): readonly MaildropEntry[] {
  const surplus = new Map<string, number>();
  const byUidl = groups(kept, ({ uidl }) => uidl);
  for (const [uidl, group] of byUidl) if (group.length > 1) surplus.set(uidl, group.length);
  if (surplus.size === 0) return kept;
  for (const { uidl } of listing) surplus.set(uidl, (surplus.get(uidl) ?? 0) - 1);
  return kept.filter((entry) => {
    const left = surplus.get(entry.uidl) ?? 0;
    if (left <= 0 || !isStale(entry)) return true;
    surplus.set(entry.uidl, left - 1);
    return false;
  });
}

/** Known ones stay where they are, as long as the listing has them in that order and new ones behind. */
function placesOf(known: readonly (MaildropEntry | undefined)[], lastKept: number): readonly number[] {
  const places: number[] = [];
  let last = 0;
  let next = lastKept;
  for (const entry of known) {
    const place = entry && next === lastKept ? entry.position : ++next;
    if (place <= last || (entry && place !== entry.position)) return known.map((_, index) => index + 1);
    places.push(place);
    last = place;
  }
  return places;
}

function movedFrom(
  entries: readonly MaildropEntry[],
  known: readonly (MaildropEntry | undefined)[],
): MaildropEntry[] {
  return known.flatMap((before, index) =>
    before && before.position !== entries[index]?.position ? [before] : [],
  );
}
