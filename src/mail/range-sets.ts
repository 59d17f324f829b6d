/** Sets of numbers as ascending, disjoint ranges, without looking at each number. */
import { type NumberRange, sliceOfRange } from "./number-set.ts";

export function intersectRanges(
  a: readonly NumberRange[],
  b: readonly NumberRange[],
): readonly NumberRange[] {
  const shared: NumberRange[] = [];
  let at = 0;
  for (const range of a) {
    while (at > 0 && (b[at - 1]?.to ?? 0) >= range.from) at--;
    for (; at < b.length; at++) {
      const other = b[at];
      if (!other || other.from > range.to) break;
      const [from, to] = [Math.max(range.from, other.from), Math.min(range.to, other.to)];
      if (from <= to) shared.push({ from, to });
    }
  }
  return shared;
}

/** What is in `ranges` and not among `numbers`, which are ascending. */
export function withoutNumbers(
  ranges: readonly NumberRange[],
  numbers: readonly number[],
): readonly NumberRange[] {
  const left: NumberRange[] = [];
  for (const range of ranges) {
    let from = range.from;
    const { first, end } = sliceOfRange(numbers, range);
    for (let at = first; at < end; at++) {
      const number = numbers[at] ?? 0;
      if (number > from) left.push({ from, to: number - 1 });
      from = number + 1;
    }
    if (from <= range.to) left.push({ from, to: range.to });
  }
  return left;
}

export function numbersOf(ranges: readonly NumberRange[]): number[] {
  return ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
}

export function sizeOfRanges(ranges: readonly NumberRange[]): number {
  return ranges.reduce((size, { from, to }) => size + to - from + 1, 0);
}

export function includes(ranges: readonly NumberRange[], number: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.to ?? 0) < number) low = middle + 1;
    else high = middle;
  }
  const found = ranges[low];
  return found !== undefined && found.from <= number;
}
