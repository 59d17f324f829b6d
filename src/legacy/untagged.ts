/**
 * Sorts a response of the server by its kind (RFC 3501 7). What follows the kind is left to whoever
 * takes it, except for FETCH, which several commands in flight may look at.
 */
import { type FetchAnswer, parseFetch } from "./fetch-answer.ts";

/** Tail of a status response: `[CODE arguments] text`. */
export interface StatusText {
  /** Upper case, without the brackets. */
  readonly code: string | undefined;
  readonly codeArguments: string;
  readonly text: string;
}

export type Untagged =
  | { readonly kind: "fetch"; readonly answer: FetchAnswer; readonly text: string }
  /** EXISTS, RECENT, EXPUNGE. */
  | { readonly kind: "count"; readonly name: string; readonly value: number }
  | {
      readonly kind: "status";
      readonly status: "OK" | "NO" | "BAD" | "BYE" | "PREAUTH";
      readonly tail: StatusText;
    }
  /** Anything else; `position` is behind the name. */
  | {
      readonly kind: "data";
      readonly name: string;
      readonly text: string;
      readonly literals: readonly Buffer[];
      readonly position: number;
    };

export type Tagged = { readonly status: "OK" | "NO" | "BAD" } & StatusText;

export type Response =
  | { readonly kind: "untagged"; readonly untagged: Untagged }
  | { readonly kind: "continue" }
  | { readonly kind: "tagged"; readonly tag: string; readonly tagged: Tagged }
  | { readonly kind: "nonsense" };

export function parseResponse(text: string, literals: readonly Buffer[]): Response {
  if (text.startsWith("* ")) return { kind: "untagged", untagged: parseUntagged(text, literals) };
  if (text.startsWith("+")) return { kind: "continue" };
  const match = /^([^ ]{1,64}) (OK|NO|BAD)(?: |$)/i.exec(text);
  if (!match?.[1] || !match[2]) return { kind: "nonsense" };
  const status = match[2].toUpperCase() as Tagged["status"];
  return {
    kind: "tagged",
    tag: match[1],
    tagged: { status, ...parseStatusText(text.slice(match[0].length)) },
  };
}

function parseUntagged(text: string, literals: readonly Buffer[]): Untagged {
  const fetchAt = fetchPosition(text);
  if (fetchAt !== undefined) return { kind: "fetch", answer: parseFetch(text, literals, fetchAt), text };
  const match = /^\* (?:(\d{1,10}) )?([^ ]*) ?/.exec(text);
  const name = (match?.[2] ?? "").toUpperCase();
  const position = match?.[0].length ?? text.length;
  if (match?.[1] !== undefined) return { kind: "count", name, value: Number(match[1]) };
  switch (name) {
    case "OK":
    case "NO":
    case "BAD":
    case "BYE":
    case "PREAUTH":
      return { kind: "status", status: name, tail: parseStatusText(text.slice(position)) };
    default:
      return { kind: "data", name, text, literals, position };
  }
}

/** Where the list of `* n FETCH (…)` begins; undefined for any other response. */
export function fetchPosition(text: string): number | undefined {
  let position = 2;
  while (isDigit(text.charCodeAt(position))) position++;
  if (position === 2 || text.charCodeAt(position) !== 0x20) return undefined;
  const name = text.slice(position + 1, position + 7);
  return name === "FETCH " || name.toUpperCase() === "FETCH " ? position + 7 : undefined;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

export function parseStatusText(tail: string): StatusText {
  // A list may hold keywords with a bracket in them.
  const match = /^\[([^\] ]+)(?: (\([^)]*\)(?=\](?: |$))|[^\]]*))?\] ?/.exec(tail);
  if (!match?.[1]) return { code: undefined, codeArguments: "", text: tail };
  return { code: match[1].toUpperCase(), codeArguments: match[2] ?? "", text: tail.slice(match[0].length) };
}

/** The line as the server wrote it, for logs. */
export function describeTagged(tagged: Tagged): string {
  const code =
    tagged.code === undefined ? "" : `[${tagged.code}${tagged.codeArguments && ` ${tagged.codeArguments}`}] `;
  return `${tagged.status} ${code}${tagged.text}`.trimEnd();
}
