/** The arguments of SEARCH (RFC 3501 6.4.4 and 9, `search-key`) into a SearchKey. */
import { decodeCharset } from "../mail/charset.ts";
import type { ModSeq } from "../mail/ids.ts";
import type { CalendarDate, SearchKey } from "../mail/search-key.ts";
import { modSeqValue } from "./condstore.ts";
import {
  astring,
  atom,
  type Cursor,
  expect,
  isNext,
  keyword,
  number,
  ParseError,
  peek,
  sequenceSet,
  skip,
  space,
  string,
} from "./tokens.ts";

export type SearchProgram =
  | { readonly kind: "program"; readonly key: SearchKey }
  /** `NO [BADCHARSET]`, whatever follows. */
  | { readonly kind: "unknown-charset" };

/** Bounds recursion here and in all that walks the key later. */
const maxDepth = 50;

interface Context {
  readonly cursor: Cursor;
  readonly charset: string;
  readonly depth: number;
}

/** RFC 3501 wants US-ASCII where no CHARSET is given; clients send UTF-8, so 8-bit is read as that. */
const defaultCharset = "UTF-8";

/** Reads to the end of the command. */
export function searchProgram(cursor: Cursor): SearchProgram {
  if (isNext(cursor, "CHARSET ")) {
    keyword(cursor);
    space(cursor);
    return searchProgramWithCharset(cursor);
  }
  return { kind: "program", key: all(keys({ cursor, charset: defaultCharset, depth: 0 })) };
}

/** SORT and THREAD always say theirs (RFC 5256 3). */
export function searchProgramWithCharset(cursor: Cursor): SearchProgram {
  const charset = astring(cursor);
  if (decodeCharset(Buffer.alloc(0), charset) === undefined) return skipAll(cursor);
  space(cursor);
  return { kind: "program", key: all(keys({ cursor, charset, depth: 0 })) };
}

function skipAll(cursor: Cursor): SearchProgram {
  cursor.part = cursor.command.texts.length - 1;
  cursor.at = cursor.command.texts[cursor.part]?.length ?? 0;
  return { kind: "unknown-charset" };
}

function keys(context: Context): readonly SearchKey[] {
  const found: SearchKey[] = [];
  do found.push(key(context));
  while (skip(context.cursor, " "));
  return found;
}

function all(list: readonly SearchKey[]): SearchKey {
  const [first] = list;
  return first && list.length === 1 ? first : { kind: "and", keys: list };
}

function key(outer: Context): SearchKey {
  const context = { ...outer, depth: outer.depth + 1 };
  const { cursor } = context;
  if (context.depth > maxDepth) throw new ParseError("Search nests too deep");
  if (skip(cursor, "(")) {
    const list = keys(context);
    expect(cursor, ")");
    return all(list);
  }
  if (/[\d*]/.test(peek(cursor))) return { kind: "sequence", set: sequenceSet(cursor) };
  if (skip(cursor, "$")) return saved;
  const name = keyword(cursor);
  const plain = Object.hasOwn(plainKeys, name) ? plainKeys[name] : undefined;
  if (plain) return plain;
  const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
  if (!reader) throw new ParseError("Unknown search key");
  space(cursor);
  return reader(context);
}

const flag = (name: string): SearchKey => ({ kind: "flag", flag: name });
const not = (inner: SearchKey): SearchKey => ({ kind: "not", key: inner });
const recent: SearchKey = { kind: "recent" };
const saved: SearchKey = { kind: "saved" };

const plainKeys: Readonly<Record<string, SearchKey>> = {
  ALL: { kind: "all" },
  ANSWERED: flag("\\Answered"),
  DELETED: flag("\\Deleted"),
  DRAFT: flag("\\Draft"),
  FLAGGED: flag("\\Flagged"),
  SEEN: flag("\\Seen"),
  UNANSWERED: not(flag("\\Answered")),
  UNDELETED: not(flag("\\Deleted")),
  UNDRAFT: not(flag("\\Draft")),
  UNFLAGGED: not(flag("\\Flagged")),
  UNSEEN: not(flag("\\Seen")),
  RECENT: recent,
  NEW: { kind: "and", keys: [recent, not(flag("\\Seen"))] },
  OLD: not(recent),
};

type Reader = (context: Context) => SearchKey;

const readers: Readonly<Record<string, Reader>> = {
  BCC: headerReader("Bcc"),
  CC: headerReader("Cc"),
  FROM: headerReader("From"),
  SUBJECT: headerReader("Subject"),
  TO: headerReader("To"),
  HEADER: (context) => {
    const field = astring(context.cursor);
    space(context.cursor);
    return { kind: "header", field, value: text(context) };
  },
  BODY: (context) => ({ kind: "body", value: text(context) }),
  TEXT: (context) => ({ kind: "text", value: text(context) }),
  KEYWORD: ({ cursor }) => flag(atom(cursor)),
  UNKEYWORD: ({ cursor }) => not(flag(atom(cursor))),
  BEFORE: dateReader("internal", "before"),
  ON: dateReader("internal", "on"),
  SINCE: dateReader("internal", "since"),
  SENTBEFORE: dateReader("sent", "before"),
  SENTON: dateReader("sent", "on"),
  SENTSINCE: dateReader("sent", "since"),
  LARGER: ({ cursor }) => ({ kind: "size", relation: "larger", sizeBytes: number(cursor) }),
  SMALLER: ({ cursor }) => ({ kind: "size", relation: "smaller", sizeBytes: number(cursor) }),
  OLDER: ({ cursor }) => ({ kind: "age", relation: "older", epochSeconds: secondsAgo(cursor) }),
  YOUNGER: ({ cursor }) => ({ kind: "age", relation: "younger", epochSeconds: secondsAgo(cursor) }),
  MODSEQ: ({ cursor }) => ({ kind: "modseq", atLeast: modSeqAtLeast(cursor) }),
  UID: ({ cursor }) => (skip(cursor, "$") ? saved : { kind: "uid", set: sequenceSet(cursor) }),
  NOT: (context) => not(key(context)),
  OR: (context) => {
    const either = key(context);
    space(context.cursor);
    return { kind: "or", either, other: key(context) };
  },
};

/** RFC 5032 3: an interval above 0. */
function secondsAgo(cursor: Cursor): number {
  const interval = number(cursor);
  if (interval === 0) throw new ParseError("Invalid interval");
  return Math.floor(Date.now() / 1000) - interval;
}

/** RFC 7162 3.1.5: a flag may be named, and all flags share one MODSEQ here. */
function modSeqAtLeast(cursor: Cursor): ModSeq {
  if (peek(cursor) === '"') {
    string(cursor);
    space(cursor);
    if (!["ALL", "PRIV", "SHARED"].includes(keyword(cursor))) throw new ParseError("Invalid MODSEQ type");
    space(cursor);
  }
  return modSeqValue(cursor);
}

function headerReader(field: string): Reader {
  return (context) => ({ kind: "header", field, value: text(context) });
}

type DateKey = Extract<SearchKey, { kind: "date" }>;

function dateReader(of: DateKey["of"], relation: DateKey["relation"]): Reader {
  return ({ cursor }) => ({ kind: "date", of, relation, date: date(cursor) });
}

function text({ cursor, charset }: Context): string {
  const bytes = Buffer.from(astring(cursor), "latin1");
  const decoded = decodeCharset(bytes, charset);
  if (decoded === undefined) throw new ParseError("Invalid text for this charset");
  return decoded;
}

const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/** `1-Feb-1994`, bare or quoted. */
function date(cursor: Cursor): CalendarDate {
  const written = peek(cursor) === '"' ? string(cursor) : atom(cursor);
  const match = /^(\d{1,2})-([A-Za-z]{3})-(\d{4})$/.exec(written);
  const day = Number(match?.[1]);
  const month = months.indexOf(match?.[2]?.toUpperCase() ?? "") + 1;
  if (!match || month === 0 || day < 1 || day > 31) throw new ParseError("Invalid date");
  return { year: Number(match[3]), month, day };
}
