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
  return arrange(
    kept,
    listing.map((listed, index) => ({ listed, entry: known[index] })),
    rule,
  );
}

/** A message of the maildrop as it will be; `listed` undefined where it stays though it is not listed. */
export type Placed =
  | { readonly listed: Pop3Side; readonly entry: MaildropEntry | undefined }
  | { readonly listed?: undefined; readonly entry: MaildropEntry };

/** The rows for these, in their order; all other rows go. */
export function arrange(
  kept: readonly MaildropEntry[],
  placed: readonly Placed[],
  rule: ResizeRule,
): FollowedMaildrop {
  const known = placed.map(({ entry }) => entry);
  const stays = new Set(known);
  const gone = kept.filter((entry) => !stays.has(entry));
  const positions = placesOf(known, kept.at(-1)?.position ?? 0);
  const entries = placed.map((one, index) => rowOf(one, positions[index] ?? index + 1, rule));
  const put = entries.filter((entry, index) => entry !== known[index]);
  return { entries, gone, change: { removed: [...gone, ...movedFrom(entries, known)], put } };
}

function rowOf(placed: Placed, position: number, rule: ResizeRule): MaildropEntry {
  const { entry } = placed;
  if (!placed.listed)
    return placed.entry.position === position ? placed.entry : { ...placed.entry, position };
  const { uidl, sizeBytes } = placed.listed;
  if (!entry) return { ...unknown, position, uidl, sizeBytes };
  if (entry.position === position && entry.uidl === uidl && entry.sizeBytes === sizeBytes) return entry;
  const isSame = rule === "same-when-resized" || entry.isRemoved || entry.sizeBytes === sizeBytes;
  return { ...entry, position, uidl, sizeBytes, message: isSame ? entry.message : undefined };
}

const unknown = { message: undefined, isRemoved: false, problem: undefined, print: undefined } as const;

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

export const sizedKey = ({ uidl, sizeBytes }: Pick<Pop3Side, "uidl" | "sizeBytes">): string =>
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
    before && (before.position !== entries[index]?.position || before.uidl !== entries[index].uidl)
      ? [before]
      : [],
  );
}
