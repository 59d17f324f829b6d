/**
 * Flags and keywords of a message: a frozen, interned list, so that two messages with the same flags
 * share one array and comparing is `===`. System flags come first in a fixed order, keywords follow in
 * byte order. Spelling of keywords is kept as the legacy server sends it; system flags are canonical.
 */

export type Flags = readonly string[] & { readonly interned: unique symbol };

const systemFlags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"] as const;
const canonicalSystemFlag = new Map(systemFlags.map((flag) => [flag.toLowerCase(), flag]));
const systemRank = new Map<string, number>(systemFlags.map((flag, rank) => [flag, rank]));

/** Bound on the interning table: past it, equal lists are equal arrays only by content. */
const maxInterned = 100_000;
const interned = new Map<string, Flags>();

/** Canonical form of a list of flags: `\Recent` (a session's own, never a message's) is dropped. */
export function flagsOf(names: Iterable<string>): Flags {
  const byLowerCase = new Map<string, string>();
  for (const name of names) {
    const lower = name.toLowerCase();
    if (lower === "\\recent" || byLowerCase.has(lower)) continue;
    byLowerCase.set(lower, canonicalSystemFlag.get(lower) ?? name);
  }
  const list = [...byLowerCase.values()].sort(compareFlags);
  const key = list.join(" ");
  const known = interned.get(key);
  if (known) return known;
  const flags = Object.freeze(list) as unknown as Flags;
  if (interned.size < maxInterned) interned.set(key, flags);
  return flags;
}

export const noFlags: Flags = flagsOf([]);

export function hasFlag(flags: Flags, name: string): boolean {
  const lower = name.toLowerCase();
  return flags.some((flag) => flag.toLowerCase() === lower);
}

export function isSystemFlag(name: string): boolean {
  return name.startsWith("\\");
}

/** Keywords only, in canonical order. */
export function keywordsOf(flags: Flags): readonly string[] {
  return flags.filter((flag) => !isSystemFlag(flag));
}

export function sameFlags(a: Flags, b: Flags): boolean {
  return a === b || (a.length === b.length && a.every((flag, index) => flag === b[index]));
}

function compareFlags(a: string, b: string): number {
  const rankA = systemRank.get(a) ?? (isSystemFlag(a) ? 10 : 20);
  const rankB = systemRank.get(b) ?? (isSystemFlag(b) ? 10 : 20);
  if (rankA !== rankB) return rankA - rankB;
  return a < b ? -1 : a > b ? 1 : 0;
}
