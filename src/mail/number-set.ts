import type { SequenceNumber, Uid } from "./ids.ts";

/** An inclusive range of numbers, `from <= to`. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** Ascending, disjoint, non-adjacent ranges. */
export type UidSet = readonly NumberRange[] & { readonly of?: Uid };

/** The sets that a client writes may hold `*` (RFC 3501 9, `sequence-set`): the largest in use. */
export interface RawRange {
  readonly from: number | "*";
  readonly to: number | "*";
}
export type RawSequenceSet = readonly RawRange[];

/** Packs ascending or unordered UIDs into ranges; duplicates are dropped. */
export function uidSetOf(uids: Iterable<Uid>): UidSet {
  const sorted = [...uids];
  if (!isAscending(sorted)) sorted.sort((a, b) => a - b);
  const ranges: { from: number; to: number }[] = [];
  let last: { from: number; to: number } | undefined;
  for (const value of sorted) {
    if (last && value <= last.to + 1) last.to = Math.max(last.to, value);
    else {
      last = { from: value, to: value };
      ranges.push(last);
    }
  }
  return ranges;
}

/**
 * Packs ascending UIDs into ranges that reach over gaps in which none of `among` (ascending) lies: UIDs only grow,
 * so nothing can come to be there.
 */
export function uidRunsOf(uids: readonly Uid[], among: readonly Uid[]): UidSet {
  const ranges: { from: number; to: number }[] = [];
  let last: { from: number; to: number } | undefined;
  let next: Uid | undefined;
  for (const value of uids) {
    if (last && value === next) last.to = value;
    else {
      last = { from: value, to: value };
      ranges.push(last);
    }
    const at = lowerBound(among, value);
    next = among[at] === value ? among[at + 1] : among[at];
  }
  return ranges;
}

/** Ranges of numbers in the order they come in. */
export function rangesInOrder(numbers: readonly number[]): readonly NumberRange[] {
  const ranges: { from: number; to: number }[] = [];
  let last: { from: number; to: number } | undefined;
  for (const number of numbers) {
    if (last && number === last.to + 1) last.to = number;
    else {
      last = { from: number, to: number };
      ranges.push(last);
    }
  }
  return ranges;
}

/** Wire form: `1:3,7,9:12`. Not for an empty set, which RFC 3501 cannot express. */
export function formatNumberSet(set: readonly NumberRange[]): string {
  return set.map(({ from, to }) => (from === to ? `${from}` : `${from}:${to}`)).join(",");
}

/**
 * Parses a `sequence-set`; undefined where it is not one. `maxRanges` bounds hostile input; numbers are
 * 1..2^32-1.
 */
export function parseSequenceSet(text: string, maxRanges = 20_000): RawSequenceSet | undefined {
  const ranges: RawRange[] = [];
  for (const piece of text.split(",", maxRanges + 1)) {
    const match = /^(\*|[1-9]\d{0,9})(?::(\*|[1-9]\d{0,9}))?$/.exec(piece);
    if (!match?.[1] || ranges.length >= maxRanges) return undefined;
    const from = parseBound(match[1]);
    const to = match[2] === undefined ? from : parseBound(match[2]);
    if (from === undefined || to === undefined) return undefined;
    ranges.push({ from, to });
  }
  return ranges;
}

/** Puts `largest` for `*`, sorts and merges: `5:3,*` with largest 7 is `3:5,7`. */
export function resolveSequenceSet(set: RawSequenceSet, largest: number): readonly NumberRange[] {
  const ordered = set
    .map(({ from, to }) => {
      const a = from === "*" ? largest : from;
      const b = to === "*" ? largest : to;
      return a <= b ? { from: a, to: b } : { from: b, to: a };
    })
    .sort((a, b) => a.from - b.from);
  const merged: { from: number; to: number }[] = [];
  for (const range of ordered) {
    const last = merged.at(-1);
    if (last && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else merged.push({ ...range });
  }
  return merged;
}

/** Index range [first, end) of `sorted` that lies in one inclusive range of numbers. */
export function sliceOfRange(sorted: ArrayLike<number>, range: NumberRange): { first: number; end: number } {
  return { first: lowerBound(sorted, range.from), end: lowerBound(sorted, range.to + 1) };
}

/** First index whose value is not below `value`. */
export function lowerBound(sorted: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Finds the index of a value in `sorted`, -1 where it is not there: at once for values that follow each other there. */
export function indexFinder(sorted: ArrayLike<number>): (value: number) => number {
  let next = 0;
  return (value) => {
    if (sorted[next] !== value) next = lowerBound(sorted, value);
    return sorted[next] === value ? next++ : -1;
  };
}

export type SequenceSet = readonly NumberRange[] & { readonly of?: SequenceNumber };

function parseBound(text: string): number | "*" | undefined {
  if (text === "*") return "*";
  const value = Number(text);
  return value <= 0xffff_ffff ? value : undefined;
}

function isAscending(values: readonly number[]): boolean {
  for (let index = 1; index < values.length; index++) {
    if ((values[index - 1] as number) >= (values[index] as number)) return false;
  }
  return true;
}
