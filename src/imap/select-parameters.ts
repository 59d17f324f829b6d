/** The parameters of SELECT and EXAMINE (RFC 7162 3.1.8, 3.2.5). */
import { uidValidity } from "../mail/ids.ts";
import { type NumberRange, resolveSequenceSet } from "../mail/number-set.ts";
import { numbersOf, sizeOfRanges } from "../mail/range-sets.ts";
import { modSeqValue } from "./condstore.ts";
import type { KnownState } from "./resync.ts";
import {
  type Cursor,
  expect,
  keyword,
  list,
  number,
  ParseError,
  peek,
  sequenceSet,
  skip,
  space,
} from "./tokens.ts";

export interface SelectParameters {
  readonly condstore: boolean;
  readonly known: KnownState | undefined;
}

export const noParameters: SelectParameters = { condstore: false, known: undefined };

/** Messages that a client may name by number and UID: it is to name a few. */
const maxPairs = 10_000;

export function selectParameters(cursor: Cursor): SelectParameters {
  let known: KnownState | undefined;
  list(cursor, (at) => {
    const name = keyword(at);
    if (name === "QRESYNC") {
      space(at);
      known = knownState(at);
    } else if (name !== "CONDSTORE") throw new ParseError("Unknown parameter");
  });
  return { condstore: true, known };
}

/** `(uidvalidity modseq [uids] [(numbers uids)])` */
function knownState(cursor: Cursor): KnownState {
  expect(cursor, "(");
  const validity = uidValidity(number(cursor));
  space(cursor);
  const modSeq = modSeqValue(cursor);
  let uids: readonly NumberRange[] | undefined;
  let pairs: KnownState["pairs"] = [];
  while (skip(cursor, " ")) {
    if (peek(cursor) === "(") pairs = matchedPairs(cursor);
    else uids = plainSet(cursor);
  }
  expect(cursor, ")");
  return { uidValidity: validity, modSeq, uids, pairs };
}

function matchedPairs(cursor: Cursor): KnownState["pairs"] {
  expect(cursor, "(");
  const sequences = plainSet(cursor);
  space(cursor);
  const uids = plainSet(cursor);
  expect(cursor, ")");
  const size = sizeOfRanges(sequences);
  if (size !== sizeOfRanges(uids) || size > maxPairs) throw new ParseError("Invalid message sequence match");
  const [numbers, others] = [numbersOf(sequences), numbersOf(uids)];
  return numbers.map((sequence, index) => [sequence, others[index] ?? 0]);
}

/** `*` would mean nothing here. */
function plainSet(cursor: Cursor): readonly NumberRange[] {
  const set = sequenceSet(cursor);
  if (set.some(({ from, to }) => from === "*" || to === "*")) throw new ParseError("Invalid message set");
  return resolveSequenceSet(set, 0);
}
