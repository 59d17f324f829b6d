/** The sets of messages in a SEARCH, related to one session's view. */
import type { Uid } from "../mail/ids.ts";
import { type RawSequenceSet, resolveSequenceSet, sliceOfRange, uidSetOf } from "../mail/number-set.ts";
import type { SearchKey } from "../mail/search-key.ts";
import type { View } from "./view.ts";

/** Puts numbers for `*`; sets come out ascending and disjoint. */
export function withNumbers(key: SearchKey, view: View): SearchKey {
  const largest = { sequence: view.uids.length, uid: view.uids.at(-1) ?? 0 } as const;
  return mapSets(key, (kind, set) => ({ kind, set: resolveSequenceSet(set, largest[kind]) }));
}

/** Sequence numbers as UIDs, which other servers know too; `key` as `withNumbers` gives it. */
export function withUids(key: SearchKey, view: View): SearchKey {
  return mapSets(key, (kind, set) => ({
    kind: "uid",
    set: kind === "uid" ? set : uidSetOf(uidsIn(kind, set, view)),
  }));
}

/** Messages of the view that are in a set without `*`, ascending; numbers beyond the view name none. */
export function uidsIn(kind: "sequence" | "uid", set: RawSequenceSet, view: View): readonly Uid[] {
  return resolveSequenceSet(set, 0).flatMap((range) => {
    if (kind === "sequence") return view.uids.slice(Math.max(range.from, 1) - 1, range.to);
    const { first, end } = sliceOfRange(view.uids, range);
    return view.uids.slice(first, end);
  });
}

/** What two ascending lists share. */
export function intersection(a: readonly Uid[], b: readonly Uid[]): readonly Uid[] {
  const shared: Uid[] = [];
  let at = 0;
  for (const uid of a) {
    while (at < b.length && (b[at] as Uid) < uid) at++;
    if (b[at] === uid) shared.push(uid);
  }
  return shared;
}

type SetKey = Extract<SearchKey, { kind: "sequence" | "uid" }>;

function mapSets(key: SearchKey, change: (kind: SetKey["kind"], set: RawSequenceSet) => SetKey): SearchKey {
  switch (key.kind) {
    case "and":
      return { kind: "and", keys: key.keys.map((one) => mapSets(one, change)) };
    case "or":
      return { kind: "or", either: mapSets(key.either, change), other: mapSets(key.other, change) };
    case "not":
      return { kind: "not", key: mapSets(key.key, change) };
    case "sequence":
    case "uid":
      return change(key.kind, key.set);
    default:
      return key;
  }
}
