/**
 * Sets of UIDs as a server writes them (`1:3,7,9:12`), of any number of ranges: read by hand, since a mailbox with many
 * gaps has hundreds of thousands of them. The length of the answer is what bounds them.
 */
import { maxUid } from "../mail/ids.ts";
import type { NumberRange } from "../mail/number-set.ts";

const [zero, nine, colon, comma] = [0x30, 0x39, 0x3a, 0x2c];

/** In the order in which they are written; undefined where it is no such set. */
export function readUidRanges(text: string): NumberRange[] | undefined {
  const ranges: NumberRange[] = [];
  let from: number | undefined;
  let number = 0;
  for (let at = 0; at <= text.length; at++) {
    const code = at === text.length ? comma : text.charCodeAt(at);
    if (code >= zero && code <= nine) number = number * 10 + code - zero;
    else if (code === colon && from === undefined && isUid(number)) {
      from = number;
      number = 0;
    } else if (code === comma && isUid(number)) {
      const first = from ?? number;
      ranges.push(first <= number ? { from: first, to: number } : { from: number, to: first });
      from = undefined;
      number = 0;
    } else return undefined;
  }
  return ranges;
}

/** Ascending and disjoint. */
export function joinRanges(ranges: NumberRange[]): readonly NumberRange[] {
  if (!isAscending(ranges)) ranges.sort((a, b) => a.from - b.from);
  const joined: { from: number; to: number }[] = [];
  let last: { from: number; to: number } | undefined;
  for (const { from, to } of ranges) {
    if (last && from <= last.to + 1) last.to = Math.max(last.to, to);
    else {
      last = { from, to };
      joined.push(last);
    }
  }
  return joined;
}

function isAscending(ranges: readonly NumberRange[]): boolean {
  let before = 0;
  for (const { from } of ranges) {
    if (from < before) return false;
    before = from;
  }
  return true;
}

function isUid(number: number): boolean {
  return number > 0 && number <= maxUid;
}
