/**
 * Content types and parameters of MIME fields (RFC 2045 5.1, RFC 2231), read as Dovecot reads them:
 * pieces `name*0`, `name*1*` are joined, still encoded, to `name` or `name*`; what does not add up is
 * left as it stands. Text is one char per byte.
 */
import { atEnd, type Cursor, peek, readMimeToken, readQuotedString, skipBlanks } from "./rfc822-lexer.ts";
import { createTreeBudget, type TreeBudget } from "./tree-budget.ts";

export interface MimeParam {
  readonly name: string;
  readonly value: string;
}

export interface ContentType {
  readonly type: string;
  readonly subtype: string;
}

/**
 * Reads `type/subtype`. Anything else in front of the parameters makes the type empty, but for a lone
 * `type` with nothing behind it; then `wellFormed` is false and no parameter is to be read.
 */
export function readContentType(cursor: Cursor): ContentType & { readonly wellFormed: boolean } {
  const broken = (type: string) => ({ type, subtype: "", wellFormed: false });
  if (skipBlanks(cursor) !== "more") return broken("");
  const next = readToken(cursor);
  if (next.next !== "more") return broken(next.token);
  if (next.token === "" || peek(cursor) !== "/") return broken("");
  cursor.at++;
  if (skipBlanks(cursor) !== "more") return broken("");
  const subtype = readToken(cursor);
  const ended = atEnd(cursor) || peek(cursor) === ";";
  if (subtype.next === "broken" || subtype.token === "" || !ended) return broken("");
  return { type: next.token, subtype: subtype.token, wellFormed: true };
}

/** Of one field, pieces counted one by one; Dovecot sees no more. */
const maxParams = 128;

/** Reads `; name=value` to the end of the text, passing what is not that. */
export function readParams(cursor: Cursor, budget: TreeBudget = createTreeBudget()): readonly MimeParam[] {
  const plain: MimeParam[] = [];
  const pieces: Piece[] = [];
  let index = 0;
  while (!atEnd(cursor) && budget.items > 0 && plain.length + pieces.length < maxParams) {
    const param = readParam(cursor);
    if (param === undefined) {
      cursor.at++;
      continue;
    }
    budget.items--;
    const [, name, digits = "", star = ""] = /^([^*]*)\*(\d*)(\*?)$/.exec(param.name) ?? [];
    if (name === undefined) {
      plain.push(param);
      continue;
    }
    const encoded = star !== "" || digits === "";
    // Dovecot keeps the number of the piece before where `name*` has none of its own.
    if (star !== "" || digits !== "") index = unsigned32(digits);
    pieces.push({ name, index, encoded, value: param.value });
  }
  return plain.concat(joinPieces(pieces));
}

interface Piece {
  readonly name: string;
  readonly index: number;
  readonly encoded: boolean;
  readonly value: string;
}

/** One parameter, or undefined where there is none; the cursor then stands where it broke. */
function readParam(cursor: Cursor): MimeParam | undefined {
  if (peek(cursor) !== ";") return undefined;
  cursor.at++;
  if (skipBlanks(cursor) !== "more") return undefined;
  const name = readToken(cursor);
  if (name.next !== "more" || peek(cursor) !== "=") return undefined;
  cursor.at++;
  const next = skipBlanks(cursor);
  if (next !== "more") return next === "broken" ? undefined : { name: name.token, value: "" };
  if (peek(cursor) === "=") return { name: name.token, value: readToBlank(cursor) };
  cursor.word = "";
  const read = peek(cursor) === '"' ? readQuotedString(cursor) : readMimeToken(cursor);
  return read === "broken" ? undefined : { name: name.token, value: cursor.word };
}

/** `name==?utf-8?b?…?=`: a bare encoded word, seen from many senders. */
function readToBlank(cursor: Cursor): string {
  const start = cursor.at;
  while (!atEnd(cursor) && !"; \t\r\n".includes(peek(cursor))) cursor.at++;
  return cursor.text.slice(start, cursor.at);
}

function readToken(cursor: Cursor): {
  readonly next: ReturnType<typeof readMimeToken>;
  readonly token: string;
} {
  cursor.word = "";
  const next = readMimeToken(cursor);
  return { next, token: cursor.word };
}

function joinPieces(pieces: readonly Piece[]): readonly MimeParam[] {
  const sorted = [...pieces].sort((a, b) => compareBytes(a.name, b.name) || a.index - b.index);
  const series: Piece[][] = [];
  for (const piece of sorted) {
    const last = series.at(-1);
    if (last?.[0]?.name.toLowerCase() === piece.name.toLowerCase()) last.push(piece);
    else series.push([piece]);
  }
  return series.flatMap(joinSeries);
}

/** The pieces of one name: one parameter when they are numbered from 0 without a gap. */
function joinSeries(series: readonly Piece[]): readonly MimeParam[] {
  if (series.some(({ index }, position) => index !== position)) {
    return series.map(({ name, index, encoded, value }) => ({
      name: `${name}*${index}${encoded ? "*" : ""}`,
      value,
    }));
  }
  const [first] = series;
  if (first === undefined) return [];
  if (!series.some(({ encoded }) => encoded)) {
    return [{ name: first.name, value: series.map(({ value }) => value).join("") }];
  }
  const values = series.map(({ encoded, value }) => (encoded ? value : value.replaceAll("%", "%25")));
  return [{ name: `${first.name}*`, value: (first.encoded ? "" : "''") + values.join("") }];
}

function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The number as C's unsigned int wraps it. */
function unsigned32(digits: string): number {
  let value = 0;
  for (const digit of digits) value = (Math.imul(value, 10) + Number(digit)) >>> 0;
  return value;
}
