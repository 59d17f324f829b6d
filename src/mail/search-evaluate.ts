/**
 * SEARCH (RFC 3501 6.4.4) on one message: what a key needs to know of it, and whether it matches.
 * Substrings are found as Dovecot finds them: without case, in decoded headers and text parts. A key
 * about what is not there any more does not match.
 */
import { type Flags, hasFlag } from "./flags.ts";
import type { SequenceNumber, Uid } from "./ids.ts";
import type { MessageContent, MessageMeta } from "./message.ts";
import { asTold } from "./mod-seq.ts";
import { type NumberRange, type RawSequenceSet, resolveSequenceSet } from "./number-set.ts";
import { compareDays, internalDay } from "./search-date.ts";
import { foldText } from "./search-fold.ts";
import { headerMatches, sentDayOf } from "./search-header.ts";
import type { CalendarDate, SearchKey } from "./search-key.ts";
import { headerOf, textMatches } from "./search-text.ts";

/** How much of a message must be at hand, in ascending order of cost. */
export type SearchNeeds = "none" | "meta" | "header" | "full";

export interface SearchableMessage {
  readonly sequenceNumber: SequenceNumber;
  readonly uid: Uid;
  /** \Recent in the session that searches. */
  readonly recent: boolean;
  readonly meta: MessageMeta | undefined;
  /** Known also of messages of which nothing else can be had; without them those of `meta`. */
  readonly flags?: Flags | undefined;
  /** The header block; `content` is read where it is not at hand. */
  header(): Buffer | undefined | Promise<Buffer | undefined>;
  /** Closed by the search. */
  content(): MessageContent | undefined | Promise<MessageContent | undefined>;
}

/** What `*` stands for; sets without it need none. */
export interface SearchLimits {
  readonly largestUid: number;
  readonly largestSequenceNumber: number;
}

const needsInOrder: readonly SearchNeeds[] = ["none", "meta", "header", "full"];

export function searchNeeds(key: SearchKey): SearchNeeds {
  switch (key.kind) {
    case "all":
    case "uid":
    case "sequence":
    case "recent":
    case "saved":
      return "none";
    case "flag":
    case "size":
    case "age":
    case "modseq":
      return "meta";
    case "date":
      return key.of === "internal" ? "meta" : "header";
    case "header":
      return "header";
    case "body":
    case "text":
      return "full";
    case "not":
      return searchNeeds(key.key);
    case "or":
      return most([key.either, key.other]);
    case "and":
      return most(key.keys);
  }
}

/** Answers at once unless header or content are waited for, or text is searched. */
export function evaluateSearch(
  key: SearchKey,
  message: SearchableMessage,
  limits: SearchLimits = { largestUid: 0, largestSequenceNumber: 0 },
): boolean | Promise<boolean> {
  return matcherOf(key)(message, limits);
}

type Verdict = boolean | Promise<boolean>;
type Matcher = (message: SearchableMessage, limits: SearchLimits) => Verdict;

/** A program is evaluated on many messages: its values are folded once. */
const matchers = new WeakMap<SearchKey, Matcher>();

function matcherOf(key: SearchKey): Matcher {
  const known = matchers.get(key);
  if (known) return known;
  const matcher = createMatcher(key);
  matchers.set(key, matcher);
  return matcher;
}

function createMatcher(key: SearchKey): Matcher {
  switch (key.kind) {
    case "all":
      return () => true;
    case "recent":
      return ({ recent }) => recent;
    case "flag":
      return ({ meta, flags = meta?.flags }) => flags !== undefined && hasFlag(flags, key.flag);
    case "uid":
      return setMatcher(key.set, ({ uid }) => uid, "largestUid");
    case "sequence":
      return setMatcher(key.set, ({ sequenceNumber }) => sequenceNumber, "largestSequenceNumber");
    case "size":
      return ({ meta }) =>
        meta !== undefined &&
        (key.relation === "larger" ? meta.sizeBytes > key.sizeBytes : meta.sizeBytes < key.sizeBytes);
    case "date":
      return dateMatcher(key);
    case "age":
      return ({ meta }) =>
        meta !== undefined &&
        (key.relation === "older"
          ? meta.internalDate.epochSeconds <= key.epochSeconds
          : meta.internalDate.epochSeconds >= key.epochSeconds);
    case "modseq":
      return ({ meta }) => meta !== undefined && asTold(meta.modSeq) >= key.atLeast;
    case "saved":
      throw new Error("a saved result is put in before a search is evaluated");
    case "header": {
      const folded = foldText(key.value);
      return (message) => withHeader(message, (header) => headerMatches(header, key.field, folded));
    }
    case "body":
    case "text": {
      const folded = foldText(key.value);
      return (message) => withContent(message, (content) => textMatches(content, folded, key.kind));
    }
    case "not": {
      const matcher = matcherOf(key.key);
      return (message, limits) => mapVerdict(matcher(message, limits), (verdict) => !verdict);
    }
    case "or":
      return someOf(cheapestFirst([key.either, key.other]), true);
    case "and":
      return someOf(cheapestFirst(key.keys), false);
  }
}

function dateMatcher({ of, relation, date }: Extract<SearchKey, { kind: "date" }>): Matcher {
  const compare = (day: CalendarDate): boolean => {
    const order = compareDays(day, date);
    return relation === "on" ? order === 0 : relation === "before" ? order < 0 : order >= 0;
  };
  if (of === "internal") return ({ meta }) => meta !== undefined && compare(internalDay(meta.internalDate));
  return (message) => withHeader(message, (header) => compare(sentDayOf(header)));
}

/** True as soon as one matches (`sought`), or false as soon as one does not. */
function someOf(matchers: readonly Matcher[], sought: boolean): Matcher {
  const from = (index: number, message: SearchableMessage, limits: SearchLimits): Verdict => {
    for (let at = index; at < matchers.length; at++) {
      const verdict = matchers[at]?.(message, limits);
      if (verdict === sought) return sought;
      if (verdict instanceof Promise) {
        return verdict.then((late) => (late === sought ? sought : from(at + 1, message, limits)));
      }
    }
    return !sought;
  };
  return (message, limits) => from(0, message, limits);
}

function cheapestFirst(keys: readonly SearchKey[]): readonly Matcher[] {
  const cost = (key: SearchKey): number => needsInOrder.indexOf(searchNeeds(key));
  return [...keys].sort((a, b) => cost(a) - cost(b)).map(matcherOf);
}

function most(keys: readonly SearchKey[]): SearchNeeds {
  const costs = keys.map((key) => needsInOrder.indexOf(searchNeeds(key)));
  return needsInOrder[Math.max(0, ...costs)] ?? "full";
}

/** The set is put in order once for all messages; it can have thousands of ranges. */
function setMatcher(
  set: RawSequenceSet,
  numberOf: (message: SearchableMessage) => number,
  limit: keyof SearchLimits,
): Matcher {
  let ranges: readonly NumberRange[] = [];
  let resolvedFor: number | undefined;
  return (message, limits) => {
    if (resolvedFor !== limits[limit]) ranges = resolveSequenceSet(set, limits[limit]);
    resolvedFor = limits[limit];
    return isIn(numberOf(message), ranges);
  };
}

function isIn(value: number, ranges: readonly NumberRange[]): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range && range.to < value) low = middle + 1;
    else high = middle;
  }
  const found = ranges[low];
  return found !== undefined && found.from <= value;
}

function withHeader(message: SearchableMessage, test: (header: Buffer) => boolean): Verdict {
  const header = message.header();
  if (Buffer.isBuffer(header)) return test(header);
  return Promise.resolve(header).then((late) =>
    late ? test(late) : withContent(message, async (content) => test(await headerOf(content))),
  );
}

async function withContent(
  message: SearchableMessage,
  test: (content: MessageContent) => Promise<boolean>,
): Promise<boolean> {
  const content = await message.content();
  if (!content) return false;
  try {
    return await test(content);
  } finally {
    content.close();
  }
}

function mapVerdict(verdict: Verdict, change: (verdict: boolean) => boolean): Verdict {
  return verdict instanceof Promise ? verdict.then(change) : change(verdict);
}
