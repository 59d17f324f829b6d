/**
 * Header blocks as bytes: where fields lie, what they say, and what a client gets that asks for some of
 * them. Nothing is repaired; a line without a colon is a field of that name without a value, and the
 * block ends at the first empty line (CRLF or bare LF) or with its bytes. All of it agrees with Dovecot.
 */

/** One field, offsets into the block that was walked. */
export interface HeaderField {
  /** As spelled, without white space before the colon; one char per byte. */
  readonly name: string;
  /** False where the line has no colon; then `name` is the whole line. */
  readonly hasValue: boolean;
  readonly start: number;
  /** Behind the line end of the last folded line. */
  readonly end: number;
  /** Behind the colon. */
  readonly valueStart: number;
}

const lf = 0x0a;
const cr = 0x0d;
const crlf = Buffer.from("\r\n");
/** U+FFFD in UTF-8: what Dovecot shows for a NUL in a field. */
const nulReplacement = "\xef\xbf\xbd";

/** Offset behind the empty line that ends the header; undefined while there is none in `bytes`. */
export function headerEnd(bytes: Buffer): number | undefined {
  const blank = blankLineAt(bytes, 0);
  if (blank > 0) return blank;
  for (let at = bytes.indexOf(lf); at >= 0; at = bytes.indexOf(lf, at + 1)) {
    const end = blankLineAt(bytes, at + 1);
    if (end > 0) return end;
  }
  return undefined;
}

/** The fields of a header block in order; stops at the empty line. */
export function* headerFields(header: Buffer): Generator<HeaderField> {
  const text = header.toString("latin1");
  for (let start = 0; start < text.length && blankLineAt(header, start) === 0; ) {
    const lineEnd = endOfLine(text, start);
    let end = lineEnd;
    while (isBlank(header[end])) end = endOfLine(text, end);
    const line = text.slice(start, withoutLineEnd(header, start, lineEnd));
    const colonAt = line.indexOf(":");
    const hasValue = colonAt >= 0;
    let nameEnd = hasValue ? colonAt : line.length;
    while (hasValue && isBlank(header[start + nameEnd - 1]) && nameEnd > 0) nameEnd--;
    const name = line.slice(0, nameEnd);
    yield { name, hasValue, start, end, valueStart: hasValue ? start + colonAt + 1 : lineEnd };
    start = end;
  }
}

/**
 * What a field says, one char per byte: folds are kept as bare LF and white space, leading white space
 * of the first line is dropped (one character only, where that line has nothing else). As in Dovecot
 * 2.3, the LF before a line of one blank is lost and a NUL shows as U+FFFD.
 */
export function fieldValue(header: Buffer, field: HeaderField): string {
  const end = withoutLineEnd(header, field.valueStart, field.end);
  const text = header.toString("latin1", field.valueStart, end).replaceAll("\r\n", "\n");
  const firstWord = text.search(/[^ \t]|$/);
  const firstLineIsBlank = firstWord === text.length || text[firstWord] === "\n";
  return text
    .slice(firstLineIsBlank ? Math.min(1, firstWord) : firstWord)
    .replace(/\n(?=[ \t](?:\n|$))/g, "")
    .replaceAll("\0", nulReplacement);
}

/**
 * `BODY[HEADER.FIELDS (…)]` or `.NOT` (RFC 3501 6.4.5): the raw fields in their order and an empty line.
 * Where the block ends without one, Dovecot adds it to FIELDS, not to FIELDS.NOT; a line without colon
 * is never in FIELDS.
 */
export function selectHeaderFields(header: Buffer, names: readonly string[], not: boolean): Buffer {
  const { fields, isEnded } = selected(header, names, not);
  return isEnded || not ? fields : Buffer.concat([fields, crlf]);
}

/**
 * The same of a part's header. Dovecot reads on behind a part whose header has no end, to the next empty line in the
 * message, and adds none where there is none: `onward` is all that follows from the header's start.
 */
export function selectPartFields(onward: Buffer, names: readonly string[], not: boolean): Buffer {
  return selected(onward.subarray(0, headerEnd(onward)), names, not).fields;
}

interface SelectedFields {
  /** With the empty line that ends the header. */
  readonly fields: Buffer;
  readonly isEnded: boolean;
}

function selected(header: Buffer, names: readonly string[], not: boolean): SelectedFields {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const pieces: Buffer[] = [];
  let behind = 0;
  for (const field of headerFields(header)) {
    behind = field.end;
    const listed = wanted.has(field.name.toLowerCase());
    if (not ? !listed : listed && field.hasValue) pieces.push(header.subarray(field.start, field.end));
  }
  const blankEnd = blankLineAt(header, behind);
  const isEnded = blankEnd > 0;
  if (isEnded) pieces.push(header.subarray(behind, blankEnd));
  else if (!not && pieces.length > 0 && pieces.at(-1)?.at(-1) !== lf) pieces.push(crlf);
  return { fields: Buffer.concat(pieces), isEnded };
}

/** Offset behind an empty line at `at`, 0 where there is none. */
function blankLineAt(bytes: Buffer, at: number): number {
  if (bytes[at] === lf) return at + 1;
  return bytes[at] === cr && bytes[at + 1] === lf ? at + 2 : 0;
}

function endOfLine(text: string, at: number): number {
  const found = text.indexOf("\n", at);
  return found < 0 ? text.length : found + 1;
}

function withoutLineEnd(bytes: Buffer, start: number, end: number): number {
  if (end <= start || bytes[end - 1] !== lf) return end;
  return end - 2 >= start && bytes[end - 2] === cr ? end - 2 : end - 1;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}
