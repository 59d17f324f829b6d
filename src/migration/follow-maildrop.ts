/**
 * What a new look at the legacy maildrop changes in what is kept of it: pure. A message that is known by its
 * UIDL keeps what it is matched with; what has left goes; what is new comes to the place where it is listed.
 */
import type { MaildropChange, MaildropEntry } from "../store/maildrop-table.ts";
import type { Pop3Side } from "./uidl-match.ts";

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
  const byUidl = new Map<string, MaildropEntry[]>();
  for (const entry of kept) {
    const same = byUidl.get(entry.uidl);
    if (same) same.push(entry);
    else byUidl.set(entry.uidl, [entry]);
  }
  // A server that gives one UIDL to several messages lists them in one order.
  const left = droppedTwins(byUidl, listing, isStale);
  const known = listing.map(({ uidl }) => byUidl.get(uidl)?.shift());
  const remaining = new Set([...left, ...[...byUidl.values()].flat()]);
  const gone = kept.filter((entry) => remaining.has(entry));
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

/** Takes out of each group of one UIDL as many stale entries as it is bigger than what is listed. */
function droppedTwins(
  byUidl: Map<string, MaildropEntry[]>,
  listing: readonly Pop3Side[],
  isStale: (entry: MaildropEntry) => boolean,
): readonly MaildropEntry[] {
  const dropped: MaildropEntry[] = [];
  const counts = new Map<string, number>();
  for (const { uidl } of listing) counts.set(uidl, (counts.get(uidl) ?? 0) + 1);
  for (const [uidl, group] of byUidl) {
    if (group.length < 2) continue;
    let surplus = group.length - (counts.get(uidl) ?? 0);
    const stays = group.filter((entry) => surplus <= 0 || !isStale(entry) || surplus-- <= 0);
    dropped.push(...group.filter((entry) => !stays.includes(entry)));
    byUidl.set(uidl, stays);
  }
  return dropped;
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
