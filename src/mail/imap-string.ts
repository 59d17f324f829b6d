/**
 * Strings in IMAP answers (RFC 3501 4.3) in the form Dovecot chooses: quoted where that is allowed,
 * a literal for 8-bit text, line ends or many characters to escape. One char per byte, in and out.
 */

/** Past this many escapes Dovecot writes a literal, which is shorter. */
const maxEscapes = 4;

/** NIL, quoted or literal. */
export function formatNstring(text: string | undefined): string {
  if (text === undefined) return "NIL";
  const escapes = text.match(/["\\]/g)?.length ?? 0;
  if (escapes > maxEscapes || /[\r\n\x80-\xff]/.test(text)) return formatLiteral(text);
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Like `formatNstring`, for field values: folds are undone, so that they need no literal. */
export function formatUnfolded(text: string | undefined): string {
  return formatNstring(text?.replace(/[\r\n](?=[ \t\r\n]|$)/g, "").replace(/[\r\n]/g, " "));
}

/** For subjects and names: white space is collapsed and trimmed at the end, escapes make it a literal. */
export function formatForHumans(text: string): string {
  const clean = text.replace(/[ \t\r\n]+/g, " ").replace(/^ | $/g, "");
  if (clean === "") return '""';
  return clean !== text || /["\\\x80-\xff]/.test(text) ? formatLiteral(clean) : `"${text}"`;
}

function formatLiteral(text: string): string {
  return `{${text.length}}\r\n${text}`;
}
