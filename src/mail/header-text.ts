/** The text of header fields: encoded words (RFC 2047) and raw 8-bit, as people read it. */
import libmime from "libmime";

/** An encoded word: charset (and language, RFC 2231 5), encoding, text. */
const encodedWords = /=\?[^?\s]{1,100}\?[bq]\?[^?]*\?=/i;

/**
 * Decodes a field or its value, each fold read as a space; raw 8-bit is taken for UTF-8 (RFC 6532), as Dovecot
 * takes it. Never fails: what is broken stands as it is.
 */
export function decodeHeaderText(raw: Buffer): string {
  const text = raw.toString("utf8").replace(/\r?\n[ \t]/g, " ");
  return encodedWords.test(text) ? libmime.decodeWords(text) : text;
}
