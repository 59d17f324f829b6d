/** Bytes in a charset as mail names it (RFC 2045 5.1, RFC 3501 6.4.4) into text. */
import iconv from "iconv-lite";
import { decode, normalizeCharset } from "libmime/lib/charset.js";

/** Transfer encodings that iconv-lite lists among charsets, and UTF-7, which hides text from filters. */
const refused = new Set<unknown>(["utf7", "utf7imap", "base64", "hex"].map((name) => iconv.getCodec(name)));
/** Known to libmime, not to iconv-lite. */
const japanese = /^(?:iso-?2022-?jp|jis|euc-?jp)/i;
/** ASCII is not a limit that senders keep to: what is 8-bit there is mostly UTF-8. */
const utf8Names = /^(?:utf-?8|us-ascii|ascii|ansi_x3\.4-1968|)$/i;

/** Undefined where the charset is not known; bytes that it does not have become U+FFFD. */
export function decodeCharset(bytes: Buffer, charset: string): string | undefined {
  const name = canonicalName(charset);
  return name === undefined ? undefined : decode(bytes, name);
}

/** Decodes a text that comes in pieces. */
export interface TextDecoder {
  write(bytes: Buffer): string;
  end(): string;
}

/** Undefined where the charset is not known. */
export function createTextDecoder(charset: string): TextDecoder | undefined {
  const name = canonicalName(charset);
  if (name === undefined) return undefined;
  if (!/^(?:utf-?16|utf-?32|ucs-?[24])/i.test(name)) return createLineDecoder(name);
  const decoder = iconv.getDecoder(name);
  return { write: (bytes) => decoder.write(bytes), end: () => decoder.end() ?? "" };
}

/**
 * Decodes whole lines: no charset of mail but UTF-16 and UTF-32 has a LF within a character, and
 * ISO-2022-JP is back at ASCII there (RFC 1468).
 */
function createLineDecoder(name: string): TextDecoder {
  let held: Buffer[] = [];
  return {
    write(bytes) {
      const cut = bytes.lastIndexOf(0x0a) + 1;
      const lines = cut === 0 ? "" : decode(Buffer.concat([...held, bytes.subarray(0, cut)]), name);
      if (cut > 0) held = [];
      if (cut < bytes.length) held.push(Buffer.from(bytes.subarray(cut)));
      return lines;
    },
    end() {
      const rest = decode(Buffer.concat(held), name);
      held = [];
      return rest;
    },
  };
}

function canonicalName(charset: string): string | undefined {
  if (utf8Names.test(charset.trim())) return "utf-8";
  const name = normalizeCharset(charset);
  if (japanese.test(name)) return name;
  return iconv.encodingExists(name) && !refused.has(iconv.getCodec(name)) ? name : undefined;
}
