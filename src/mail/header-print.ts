/**
 * A fingerprint of a message's header that is the same for what IMAP and POP3 show of it, though servers change
 * headers between the two (Dovecot's pop3_migration, hash version 4): fields that only one of them has are left
 * out, and white space, folding and 8-bit text count for nothing.
 */
import { createHash } from "node:crypto";

const leftOut = new Set([
  "content-length",
  "return-path",
  "status",
  "x-imap",
  "x-imapbase",
  "x-keywords",
  "x-message-flag",
  "x-status",
  "x-uid",
  "x-uidl",
  "x-yahoo-newman-property",
]);

export interface HeaderPrint {
  /** Hexadecimal. */
  readonly hash: string;
  /** There was a blank line: the header is whole. */
  readonly isWhole: boolean;
}

/** Of a header block, or of a message: nothing behind the blank line counts. */
export function headerPrint(bytes: Buffer): HeaderPrint {
  const hash = createHash("sha1");
  let isWhole = false;
  let isKept = false;
  /** Its lines are joined: servers fold anew. */
  let field = "";
  const endField = (): void => {
    if (field !== "") hash.update(`${compared(field)}\n`);
    field = "";
  };
  const lines = bytes.toString("latin1").split("\n");
  for (const [index, line] of lines.entries()) {
    // Courier's BODY[HEADER] ends at a line of two CRs, its TOP does not.
    if (line === "\r\r") break;
    const text = line.replaceAll("\r", "");
    if (text === "") {
      // What follows the last line end is no line.
      isWhole = index < lines.length - 1;
      break;
    }
    const isContinuation = /^[ \t]/.test(text);
    if (isContinuation && text.trim() === "") continue;
    if (!isContinuation) {
      endField();
      isKept = isField(text);
    }
    if (isKept) field += text;
  }
  endField();
  if (isWhole) hash.update("\n");
  return { hash: hash.digest("hex"), isWhole };
}

/** `name: value`, of a name that both sides show. */
function isField(text: string): boolean {
  const colon = text.indexOf(":");
  const name = text.slice(0, colon);
  return colon > 0 && /^[\x21-\x7e]+$/.test(name.trimEnd()) && !leftOut.has(name.trimEnd().toLowerCase());
}

/** Some servers show `?` for 8-bit characters, one or several; white space differs with the folding. */
function compared(text: string): string {
  return text
    .replace(/[ \t]/g, "")
    .replace(/[^\x20-\x7e]/g, "?")
    .replace(/\?+/g, "?");
}
