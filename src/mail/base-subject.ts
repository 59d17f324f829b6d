/** The base subject of a message (RFC 5256 2.1): what is the same in a mail and the answers to it. */
import { decodeHeaderText } from "./header-text.ts";

export interface BaseSubject {
  readonly text: string;
  /** Something was taken away that marks an answer or a forwarded mail. */
  readonly isReply: boolean;
}

/** `subj-blob`: `[text]` and white space. */
const blob = "\\[[^[\\]]*\\]\\s*";
const leader = new RegExp(`^(?:${blob})*(?:re|fwd?)\\s*(?:${blob})?:`, "i");
const leadingBlob = new RegExp(`^${blob}`);
const trailer = /\s*\(fwd\)$/i;

/** Longer ones are told apart by their beginning. */
const maxChars = 2_000;

/** `value` as it stands in the header, one char per byte. */
export function baseSubject(value: string): BaseSubject {
  const bytes = Buffer.from(value.slice(0, maxChars), "latin1");
  let text = decodeHeaderText(bytes).replace(/\s+/g, " ");
  let isReply = false;
  for (;;) {
    const withoutTrailers = strip(text.trimEnd(), trailer);
    const stripped = withoutLeaders(withoutTrailers.text);
    text = stripped.text;
    isReply ||= withoutTrailers.isReply || stripped.isReply;
    const forwarded = /^\[fwd:(.*)\]$/is.exec(text);
    if (!forwarded) return { text, isReply };
    text = forwarded[1] ?? "";
    isReply = true;
  }
}

function withoutLeaders(text: string): BaseSubject {
  let left = text.trimStart();
  let isReply = false;
  for (;;) {
    const match = leader.exec(left);
    const shorter = match ? left.slice(match[0].length).trimStart() : withoutBlob(left);
    if (shorter === left) return { text: left, isReply };
    isReply ||= match !== null;
    left = shorter;
  }
}

/** Stays where nothing would be left. */
function withoutBlob(text: string): string {
  const rest = text.replace(leadingBlob, "");
  return rest === "" ? text : rest;
}

function strip(text: string, pattern: RegExp): BaseSubject {
  let left = text;
  let isReply = false;
  for (let shorter = left.replace(pattern, ""); shorter !== left; shorter = left.replace(pattern, "")) {
    left = shorter.trimEnd();
    isReply = true;
  }
  return { text: left, isReply };
}
