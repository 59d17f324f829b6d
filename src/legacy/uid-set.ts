import type { NumberRange, UidSet } from "../mail/number-set.ts";

/** Servers cut commands at 8 KB and more (RFC 7162 4 asks for 8192 bytes); the rest of a line is short. */
const maxSetChars = 6_000;

/** Wire form, in pieces that fit into a command line. */
export function splitUidSet(uids: UidSet): { readonly wire: string; readonly ranges: UidSet }[] {
  const pieces: { wire: string; ranges: NumberRange[] }[] = [];
  let last: { wire: string; ranges: NumberRange[] } | undefined;
  for (const range of uids) {
    const wire = range.from === range.to ? `${range.from}` : `${range.from}:${range.to}`;
    if (last && last.wire.length + wire.length < maxSetChars) {
      last.wire += `,${wire}`;
      last.ranges.push(range);
    } else {
      last = { wire, ranges: [range] };
      pieces.push(last);
    }
  }
  return pieces;
}

export function contains(ranges: UidSet, uid: number): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (!range) return false;
    if (uid < range.from) high = middle - 1;
    else if (uid > range.to) low = middle + 1;
    else return true;
  }
  return false;
}
