/**
 * Reads the values of one response (RFC 3501 9: atoms, quoted strings, literals, lists) from its latin1
 * text and literals. Lenient where servers are: whatever is neither is taken as an atom, and a list that
 * is not closed ends with the response.
 */
export interface AnswerCursor {
  readonly text: string;
  readonly literals: readonly Buffer[];
  position: number;
  /** Index of the literal that the next `{n}` stands for. */
  nextLiteral: number;
  /** So many more are gathered in lists; what is beyond them is stepped over. */
  valuesLeft: number;
}

/** null is NIL; strings are latin1; a literal is its bytes. */
export type AnswerValue = string | Buffer | null | readonly AnswerValue[];

const maxDepth = 50;
const maxValues = 100_000;

export function answerCursor(text: string, literals: readonly Buffer[], position = 0): AnswerCursor {
  return { text, literals, position, nextLiteral: 0, valuesLeft: maxValues };
}

/** Up to the next space, parenthesis or end. */
export function readAtom(cursor: AnswerCursor): string {
  const { text, position } = cursor;
  let end = position;
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end);
    if (code === 0x20 || code === 0x28 || code === 0x29) break;
  }
  cursor.position = end;
  return text.slice(position, end);
}

export function skipSpaces(cursor: AnswerCursor): void {
  while (cursor.text.charCodeAt(cursor.position) === 0x20) cursor.position++;
}

/** True, and past it, when the next char is `char`. */
export function takeChar(cursor: AnswerCursor, char: string): boolean {
  if (cursor.text[cursor.position] !== char) return false;
  cursor.position++;
  return true;
}

export function readValue(cursor: AnswerCursor, depth = 0): AnswerValue {
  const { text, position } = cursor;
  const first = text[position];
  if (first === "(") return readList(cursor, depth);
  if (first === '"') return readQuoted(cursor);
  if (first === "{" || first === "~") {
    const literal = readLiteral(cursor);
    if (literal) return literal;
  }
  const atom = readAtom(cursor);
  // A stray closing parenthesis belongs to nobody; stepping over it keeps every loop moving.
  if (atom === "" && cursor.position < text.length) cursor.position++;
  return atom.length === 3 && atom.toUpperCase() === "NIL" ? null : atom;
}

function readList(cursor: AnswerCursor, depth: number): readonly AnswerValue[] {
  const values: AnswerValue[] = [];
  cursor.position++;
  for (;;) {
    skipSpaces(cursor);
    if (cursor.position >= cursor.text.length || takeChar(cursor, ")")) return values;
    if (depth < maxDepth && cursor.valuesLeft-- > 0) values.push(readValue(cursor, depth + 1));
    else skipOne(cursor);
  }
}

/** Steps over one value without gathering it: for what lies too deep, or is too much. */
function skipOne(cursor: AnswerCursor): void {
  let depth = 0;
  do {
    skipSpaces(cursor);
    if (takeChar(cursor, "(")) depth++;
    else if (takeChar(cursor, ")")) depth--;
    else if (cursor.text[cursor.position] === '"') readQuoted(cursor);
    else if (!readLiteral(cursor)) readAtom(cursor);
  } while (depth > 0 && cursor.position < cursor.text.length);
}

function readQuoted(cursor: AnswerCursor): string {
  const { text } = cursor;
  const start = cursor.position + 1;
  let end = start;
  let isEscaped = false;
  for (; end < text.length && text[end] !== '"'; end++) {
    if (text[end] !== "\\") continue;
    isEscaped = true;
    end++;
  }
  cursor.position = Math.min(end + 1, text.length);
  const content = text.slice(start, end);
  return isEscaped ? content.replace(/\\([\s\S])/g, "$1") : content;
}

function readLiteral(cursor: AnswerCursor): Buffer | undefined {
  const match = /^~?\{\d+\+?\}/.exec(cursor.text.slice(cursor.position, cursor.position + 20));
  const literal = match ? cursor.literals[cursor.nextLiteral] : undefined;
  if (!match || !literal) return undefined;
  cursor.position += match[0].length;
  cursor.nextLiteral++;
  return literal;
}

/** The next value as it stood on the wire, its literals included (`{n}` CRLF and n bytes). */
export function readRaw(cursor: AnswerCursor): Buffer {
  const pieces: Buffer[] = [];
  let from = cursor.position;
  let literalsSeen = cursor.nextLiteral;
  const flush = (): void => {
    pieces.push(Buffer.from(cursor.text.slice(from, cursor.position), "latin1"));
    from = cursor.position;
  };
  let depth = 0;
  do {
    if (takeChar(cursor, "(")) depth++;
    else if (takeChar(cursor, ")")) depth--;
    else if (takeChar(cursor, " ")) continue;
    else readValue(cursor);
    if (cursor.nextLiteral > literalsSeen) {
      flush();
      pieces.push(Buffer.from("\r\n"), cursor.literals[literalsSeen] ?? Buffer.alloc(0));
      literalsSeen = cursor.nextLiteral;
    }
  } while (depth > 0 && cursor.position < cursor.text.length);
  flush();
  return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
}

/** A string as latin1, whatever form it came in; undefined for NIL and lists. */
export function asText(value: AnswerValue | undefined): string | undefined {
  if (typeof value === "string") return value;
  return Buffer.isBuffer(value) ? value.toString("latin1") : undefined;
}

/** A string's bytes; undefined for NIL and lists. */
export function asBytes(value: AnswerValue | undefined): Buffer | undefined {
  if (typeof value === "string") return Buffer.from(value, "latin1");
  return Buffer.isBuffer(value) ? value : undefined;
}

/** The strings of a list; empty for anything else. */
export function asTexts(value: AnswerValue | undefined): readonly string[] {
  if (!isList(value)) return [];
  return value.map(asText).filter((text) => text !== undefined);
}

export function isList(value: AnswerValue | undefined): value is readonly AnswerValue[] {
  return Array.isArray(value);
}
