/**
 * What goes out, in RFC 3501's forms (section 9). Strings are latin1, one char per byte; whatever comes
 * from elsewhere (names, error texts) passes through here before it is written.
 */

/** Quoted where that can express it, else a literal. */
export function formatString(latin1: string): string {
  if (/[\x00\r\n\x80-\xff]/.test(latin1)) return `{${latin1.length}}\r\n${latin1}`;
  return `"${latin1.replace(/["\\]/g, "\\$&")}"`;
}

export function formatNstring(latin1: string | null | undefined): string {
  return latin1 === null || latin1 === undefined ? "NIL" : formatString(latin1);
}

/** Bare where RFC 3501 lets an astring be an atom. */
export function formatAstring(latin1: string): string {
  return /^[^\x00-\x20\x7f-\xff(){%*"\\]+$/.test(latin1) && latin1.toUpperCase() !== "NIL"
    ? latin1
    : formatString(latin1);
}

export function formatList(items: readonly string[]): string {
  return `(${items.join(" ")})`;
}

/** `resp-text`: one line of printable ASCII, not empty, never taken for a response code. */
export function formatText(text: string): string {
  const line = text
    .replace(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, 500);
  return line === "" || line.startsWith("[") ? `- ${line}`.trimEnd() : line;
}

export function untagged(text: string): string {
  return `* ${text}\r\n`;
}

/** How a command ended; `code` without its brackets. */
export interface Reply {
  readonly status: "OK" | "NO" | "BAD";
  readonly code?: string | undefined;
  readonly text: string;
}

export const ok = (text: string, code?: string): Reply => ({ status: "OK", code, text });
export const no = (text: string, code?: string): Reply => ({ status: "NO", code, text });
export const bad = (text: string): Reply => ({ status: "BAD", text });

/** `tag` is `*` where the client's own could not be read. */
export function formatReply(tag: string, { status, code, text }: Reply): string {
  return `${tag} ${status} ${code ? `[${code}] ` : ""}${formatText(text)}\r\n`;
}
