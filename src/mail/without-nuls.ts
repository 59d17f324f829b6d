/**
 * IMAP knows no NUL, in literals neither (RFC 3501 9, `CHAR8`). Dovecot shows this byte in its place, and so it is here,
 * by POP3 too, but for messages that came by POP3: these are shown as they came. What is kept is as it was.
 */
const shownNul = 0x80;

/** The same bytes where there is none. */
export function withoutNuls(bytes: Buffer): Buffer {
  let at = bytes.indexOf(0);
  if (at < 0) return bytes;
  const shown = Buffer.from(bytes);
  for (; at >= 0; at = shown.indexOf(0, at + 1)) shown[at] = shownNul;
  return shown;
}
