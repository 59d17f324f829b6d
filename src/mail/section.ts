import type { Extent, MimePart } from "./mime-part.ts";

/**
 * Sections of a message, `BODY[…]` of RFC 3501 6.4.5: what a client can ask for, in terms of the MIME
 * part tree.
 */
export interface Section {
  /** Part numbers, empty for the message itself. */
  readonly path: readonly number[];
  readonly part: SectionPart;
}

export type SectionPart =
  /** `BODY[]` or `BODY[1.2]`: all of it. */
  | { readonly kind: "whole" }
  | { readonly kind: "header" }
  | { readonly kind: "fields"; readonly names: readonly string[]; readonly not: boolean }
  | { readonly kind: "text" }
  /** Only with a path. */
  | { readonly kind: "mime" };

/** Where the bytes of a section lie: of `fields`, those of the header that they are selected from. */
export type SectionPlace =
  | { readonly kind: "range"; readonly start: number; readonly end: number }
  | {
      readonly kind: "fields";
      readonly start: number;
      readonly end: number;
      readonly names: readonly string[];
      readonly not: boolean;
    }
  /** There is no such part; Dovecot 2.3 answers with an empty string. */
  | { readonly kind: "none" };

/**
 * Finds a section as RFC 3501 6.4.5 numbers parts. Part 1 of what is no multipart is its body, and as in
 * Dovecot 2.3 that is so of a part of a multipart, too.
 */
export function locateSection(root: MimePart, { path, part: wanted }: Section): SectionPlace {
  const found = path.length === 0 ? root : findPart(root, path);
  if (!found) return { kind: "none" };
  if (wanted.kind === "whole") {
    return range(path.length === 0 ? { start: root.header.start, end: root.body.end } : found.body);
  }
  if (wanted.kind === "mime") return path.length === 0 ? { kind: "none" } : range(found.header);
  // HEADER and TEXT are those of a message: the whole one, or the one in a message/rfc822 part.
  const message = path.length === 0 ? root : found.kind === "message" ? found.message : undefined;
  if (!message) return { kind: "none" };
  if (wanted.kind === "text") return range(message.body);
  if (wanted.kind === "header") return range(message.header);
  const { start, end } = message.header;
  return { kind: "fields", start, end, names: wanted.names, not: wanted.not };
}

function range({ start, end }: Pick<Extent, "start" | "end">): SectionPlace {
  return { kind: "range", start, end };
}

function findPart(root: MimePart, path: readonly number[]): MimePart | undefined {
  let part: MimePart | undefined = root;
  for (const [index, number] of path.entries()) {
    const isLast = index === path.length - 1;
    if (part.kind === "multipart") part = part.parts[number - 1];
    else if (number !== 1 || (part.kind === "leaf" && !isLast)) return undefined;
    if (!part) return undefined;
    if (part.kind === "message" && !isLast) part = part.message;
  }
  return part;
}
