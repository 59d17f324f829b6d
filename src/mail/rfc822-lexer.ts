/**
 * The tokens of RFC 822 and MIME header values, read as Dovecot 2.3 reads them, with the same
 * leniency: bytes above 127 are letters, white space may stand around dots, a broken piece leaves the
 * cursor where it broke. Text is one char per byte.
 */

/** What follows a token: more text, nothing, or it was not one. */
export type Next = "more" | "end" | "broken";

export interface Cursor {
  readonly text: string;
  at: number;
  /** Tokens are appended here; whoever wants one alone empties it first. */
  word: string;
  /** The last comment passed, without its outer parentheses. */
  comment: string;
}

export function cursorOf(text: string): Cursor {
  return { text, at: 0, word: "", comment: "" };
}

/** The character at the cursor, '' at the end. */
export function peek(cursor: Cursor): string {
  return cursor.text.charAt(cursor.at);
}

export function atEnd(cursor: Cursor): boolean {
  return cursor.at >= cursor.text.length;
}

const atext = 1;
const mimeSpecial = 2;
/** Per byte: 0 special, control or space, 1 letter of an atom, 2 letter of an atom but not of a MIME token. */
const letterKind = Uint8Array.from({ length: 256 }, (_, code) => {
  const char = String.fromCharCode(code);
  if ("/=?".includes(char)) return mimeSpecial;
  return code <= 0x20 || code === 0x7f || '"(),.:;<>@[\\]'.includes(char) ? 0 : atext;
});

export function isAtomLetter(char: string): boolean {
  return char !== "" && letterKind[char.charCodeAt(0)] !== 0;
}

/** Passes white space and comments. */
export function skipBlanks(cursor: Cursor): Next {
  while (!atEnd(cursor)) {
    const char = peek(cursor);
    if (char === " " || char === "\t" || char === "\r" || char === "\n") cursor.at++;
    else if (char !== "(") return "more";
    else if (!skipComment(cursor)) return "broken";
  }
  return "end";
}

/** Passes a comment, nested ones with it; false where it does not end. */
function skipComment(cursor: Cursor): boolean {
  const words = cursor.word;
  let depth = 1;
  cursor.word = "";
  cursor.at++;
  const closed = readEscaped(cursor, (char) => {
    if (char === "(") depth++;
    return char === ")" && --depth === 0;
  });
  cursor.comment = cursor.word;
  cursor.word = words;
  return closed;
}

export function readQuotedString(cursor: Cursor): Next {
  cursor.at++;
  return readEscaped(cursor, (char) => char === '"') ? skipBlanks(cursor) : "broken";
}

/**
 * Appends up to the character that `ends` accepts and passes it: backslashes escape, line ends are
 * dropped. Without an end only what stands before the last escape or line
 * end is appended, as Dovecot shows.
 */
function readEscaped(cursor: Cursor, ends: (char: string) => boolean): boolean {
  let start = cursor.at;
  for (; !atEnd(cursor); cursor.at++) {
    const char = peek(cursor);
    if (char === "\\") {
      cursor.at++;
      if (atEnd(cursor)) return false;
      if ("\r\n".includes(peek(cursor))) {
        cursor.at--;
        continue;
      }
      cursor.word += cursor.text.slice(start, cursor.at - 1);
      start = cursor.at;
    } else if (ends(char)) {
      cursor.word += cursor.text.slice(start, cursor.at++);
      return true;
    } else if (char === "\n") {
      const folded = cursor.text[cursor.at - 1] === "\r" && cursor.at > start;
      cursor.word += cursor.text.slice(start, folded ? cursor.at - 1 : cursor.at);
      start = cursor.at + 1;
    }
  }
  return false;
}

/** Appends letters that `accepts` takes, maybe none, and passes the white space behind them. */
function readLetters(cursor: Cursor, accepts: (code: number) => boolean): Next {
  const start = cursor.at;
  while (!atEnd(cursor) && accepts(cursor.text.charCodeAt(cursor.at))) cursor.at++;
  cursor.word += cursor.text.slice(start, cursor.at);
  return atEnd(cursor) ? "end" : skipBlanks(cursor);
}

const dot = 0x2e;

export function readAtom(cursor: Cursor): Next {
  if (!isAtomLetter(peek(cursor))) return "broken";
  return readLetters(cursor, (code) => letterKind[code] !== 0);
}

/** A MIME token (RFC 2045 5.1); it may be empty. */
export function readMimeToken(cursor: Cursor): Next {
  return readLetters(cursor, (code) => letterKind[code] === atext || code === dot);
}

function readDotAtom(cursor: Cursor): Next {
  for (;;) {
    const next = readAtom(cursor);
    if (next !== "more" || peek(cursor) !== ".") return next;
    cursor.word += ".";
    cursor.at++;
    if (skipBlanks(cursor) !== "more") return "broken";
  }
}

/** A phrase: words, quoted strings and dots, joined by one space. */
export function readPhrase(cursor: Cursor): Next {
  if (atEnd(cursor)) return "end";
  if (peek(cursor) === ".") return "broken";
  for (;;) {
    const next =
      peek(cursor) === '"'
        ? readQuotedString(cursor)
        : readLetters(cursor, (code) => letterKind[code] !== 0 || code === dot);
    if (next !== "more") return next;
    if (!isAtomLetter(peek(cursor)) && peek(cursor) !== '"' && peek(cursor) !== ".") return "more";
    cursor.word += " ";
  }
}

/** A domain behind its `@`. */
export function readDomain(cursor: Cursor): Next {
  cursor.at++;
  if (skipBlanks(cursor) !== "more") return "broken";
  return peek(cursor) === "[" ? readDomainLiteral(cursor) : readDotAtom(cursor);
}

/** `[…]` with its brackets and backslashes; line ends are dropped. */
function readDomainLiteral(cursor: Cursor): Next {
  const start = cursor.at++;
  for (; !atEnd(cursor); cursor.at++) {
    const char = peek(cursor);
    if (char === "[") return "broken";
    if (char === "\\" && !"\r\n".includes(cursor.text.charAt(cursor.at + 1))) cursor.at++;
    else if (char === "]") {
      cursor.word += cursor.text.slice(start, ++cursor.at).replace(/\r?\n/g, "");
      return skipBlanks(cursor);
    }
  }
  return "broken";
}
