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

function isUid(number: number): boolean {
  return number > 0 && number <= maxUid;
}
