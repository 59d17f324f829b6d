/** The sets of messages in a SEARCH, related to one session's view. */
import type { Uid } from "../mail/ids.ts";
import { type RawSequenceSet, resolveSequenceSet, sliceOfRange, uidSetOf } from "../mail/number-set.ts";
import type { SearchKey } from "../mail/search-key.ts";
import type { View } from "./view.ts";

/** Puts numbers for `*`; sets come out ascending and disjoint. */
export function withNumbers(
  key: SearchKey,
  { view, saved }: { readonly view: View; readonly saved: { readonly uids: readonly Uid[] } },
): SearchKey {
  const largest = { sequence: view.uids.length, uid: view.uids.at(-1) ?? 0 } as const;
  return mapKeys(key, (one) => {
    if (one.kind === "saved") return { kind: "uid", set: uidSetOf(saved.uids) };
    return isSet(one) ? { kind: one.kind, set: resolveSequenceSet(one.set, largest[one.kind]) } : one;
  });
}

/** Sequence numbers as UIDs, which other servers know too; `key` as `withNumbers` gives it. */
export function withUids(key: SearchKey, view: View): SearchKey {
  return mapKeys(key, (one) =>
    one.kind === "sequence" ? { kind: "uid", set: uidSetOf(uidsIn(one.kind, one.set, view)) } : one,
  );
}

export function asksModSeq(key: SearchKey): boolean {
  return someKey(key, ({ kind }) => kind === "modseq");
}

/** What only this server knows how to answer. */
export function isOwn({ kind }: SearchKey): boolean {
  return kind === "modseq" || kind === "age";
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

function isSet(key: SearchKey): key is SetKey {
  return key.kind === "sequence" || key.kind === "uid";
}

/** Puts others in the place of the keys that hold no further ones. */
export function mapKeys(key: SearchKey, change: (leaf: SearchKey) => SearchKey): SearchKey {
  switch (key.kind) {
    case "and":
      return { kind: "and", keys: key.keys.map((one) => mapKeys(one, change)) };
    case "or":
      return { kind: "or", either: mapKeys(key.either, change), other: mapKeys(key.other, change) };
    case "not":
      return { kind: "not", key: mapKeys(key.key, change) };
    default:
      return change(key);
  }
}

/** Whether there is one among the keys that hold no further ones. */
export function someKey(key: SearchKey, test: (leaf: SearchKey) => boolean): boolean {
  let found = false;
  mapKeys(key, (leaf) => {
    found ||= test(leaf);
    return leaf;
  });
  return found;
}
