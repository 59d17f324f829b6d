/** What a search gives back, and how (RFC 4731, RFC 5182, RFC 5267 for SORT). */
import type { ModSeq } from "../mail/ids.ts";
import { formatNumberSet, rangesInOrder } from "../mail/number-set.ts";
import type { Output } from "../wire/output.ts";
import { formatString } from "./formatter.ts";
import { type Cursor, isNext, keyword, list, ParseError, space } from "./tokens.ts";

export interface SearchReturn {
  readonly min: boolean;
  readonly max: boolean;
  readonly all: boolean;
  readonly count: boolean;
  readonly save: boolean;
}

const options = new Set(["MIN", "MAX", "ALL", "COUNT", "SAVE"]);

/** `RETURN (…) ` if it is there; undefined: as RFC 3501 has it. */
export function searchReturn(cursor: Cursor): SearchReturn | undefined {
  if (!isNext(cursor, "RETURN (")) return undefined;
  keyword(cursor);
  space(cursor);
  const names = new Set(list(cursor, keyword));
  for (const name of names) if (!options.has(name)) throw new ParseError("Unknown return option");
  space(cursor);
  return {
    min: names.has("MIN"),
    max: names.has("MAX"),
    all: names.has("ALL") || names.size === 0,
    count: names.has("COUNT"),
    save: names.has("SAVE"),
  };
}

/** Of what was found, that which is given back or saved: with MIN and MAX alone only these (RFC 5182 2.1). */
export function chosen<T>(found: readonly T[], { min, max, all, count }: SearchReturn): readonly T[] {
  if (all || count || !(min || max)) return found;
  const [first, last] = [found[0], found.at(-1)];
  const ends = [...(min && first !== undefined ? [first] : []), ...(max && last !== undefined ? [last] : [])];
  return [...new Set(ends)];
}

export interface ExtendedAnswer {
  readonly tag: string;
  readonly byUid: boolean;
  /** In the order of the answer: MIN and MAX are the first and the last (RFC 5267 3). */
  readonly numbers: readonly number[];
  readonly modSeq: ModSeq | undefined;
}

/** Nothing where the client only wants the result saved. */
export function writeExtended(answer: ExtendedAnswer, wanted: SearchReturn, output: Output): void {
  const { tag, byUid, numbers, modSeq } = answer;
  const { min, max, all, count } = wanted;
  if (!min && !max && !all && !count) return;
  const parts = [`* ESEARCH (TAG ${formatString(tag)})`];
  if (byUid) parts.push("UID");
  const isEmpty = numbers.length === 0;
  if (min && !isEmpty) parts.push(`MIN ${numbers[0]}`);
  if (max && !isEmpty) parts.push(`MAX ${numbers.at(-1)}`);
  if (all && !isEmpty) parts.push(`ALL ${formatNumberSet(rangesInOrder(numbers))}`);
  if (count) parts.push(`COUNT ${numbers.length}`);
  if (modSeq !== undefined) parts.push(`MODSEQ ${modSeq}`);
  output.write(`${parts.join(" ")}\r\n`);
}
