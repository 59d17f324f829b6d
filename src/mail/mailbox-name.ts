/**
 * Modified UTF-7 (RFC 3501 5.1.3): how people's mailbox names travel. Decoding is for showing only and
 * never fails: a name that is not valid modified UTF-7 (some old servers send raw 8-bit) is shown as it
 * is. Identity is always the encoded name.
 */
import { type EncodedMailboxName, encodedMailboxName, type MailboxName } from "./ids.ts";

export function encodeMailboxName(text: string): EncodedMailboxName {
  const encoded = text.replace(/&|[^\x20-\x7e]+/g, (run) => (run === "&" ? "&-" : `&${toBase64(run)}-`));
  return encodedMailboxName(encoded);
}

export function decodeMailboxName(encoded: EncodedMailboxName): MailboxName {
  if (!/^[\x20-\x7e]*$/.test(encoded)) return showRaw(encoded);
  let text = "";
  let at = 0;
  for (;;) {
    const shift = encoded.indexOf("&", at);
    if (shift < 0) return (text + encoded.slice(at)) as MailboxName;
    const end = encoded.indexOf("-", shift);
    const run = end < 0 ? undefined : fromBase64(encoded.slice(shift + 1, end));
    if (run === undefined) return showRaw(encoded);
    text += encoded.slice(at, shift) + run;
    at = end + 1;
  }
}

/** RFC 3501 5.1.3: the one way to write that name. */
export function isModifiedUtf7(encoded: EncodedMailboxName): boolean {
  return encodeMailboxName(decodeMailboxName(encoded)) === encoded;
}

function toBase64(run: string): string {
  const utf16 = Buffer.from(run, "utf16le").swap16();
  return utf16.toString("base64").replaceAll("/", ",").replace(/=+$/, "");
}

/** The text of one shifted run (empty: a plain `&`); undefined where the run is not canonical. */
function fromBase64(run: string): string | undefined {
  if (run === "") return "&";
  const bytes = Buffer.from(run.replaceAll(",", "/"), "base64");
  if (bytes.length === 0 || bytes.length % 2 !== 0) return undefined;
  const text = bytes.swap16().toString("utf16le");
  return toBase64(text) === run ? text : undefined;
}

/** Raw 8-bit names are nearly always UTF-8, else latin1. */
function showRaw(encoded: EncodedMailboxName): MailboxName {
  const utf8 = Buffer.from(encoded, "latin1").toString("utf8");
  return (utf8.includes("\ufffd") ? encoded : utf8) as string as MailboxName;
}
