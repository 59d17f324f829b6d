/** The items of FETCH (RFC 3501 6.4.5 and 9, `fetch-att`; MODSEQ of RFC 7162 3.1.5). */
import type { Section, SectionPart } from "../mail/section.ts";
import { formatAstring } from "./formatter.ts";
import { astring, type Cursor, expect, list, number, ParseError, peek, skip, space, word } from "./tokens.ts";

export interface SectionItem {
  readonly kind: "section";
  /** What the answer calls it, `BODY[1.MIME]<0>`; the client's spelling of header names is kept. */
  readonly label: string;
  readonly section: Section;
  /** Reading it does not set \Seen. */
  readonly peek: boolean;
  readonly partial: { readonly startBytes: number; readonly lengthBytes: number } | undefined;
}

export type FetchItem =
  | {
      readonly kind:
        | "uid"
        | "flags"
        | "internal-date"
        | "size"
        | "modseq"
        | "envelope"
        | "body"
        | "body-structure";
    }
  | SectionItem;

const whole: Section = { path: [], part: { kind: "whole" } };

const named: Readonly<Record<string, FetchItem>> = {
  UID: { kind: "uid" },
  FLAGS: { kind: "flags" },
  INTERNALDATE: { kind: "internal-date" },
  ENVELOPE: { kind: "envelope" },
  BODY: { kind: "body" },
  BODYSTRUCTURE: { kind: "body-structure" },
  "RFC822.SIZE": { kind: "size" },
  MODSEQ: { kind: "modseq" },
  RFC822: sectionItem("RFC822", whole, false),
  "RFC822.HEADER": sectionItem("RFC822.HEADER", { path: [], part: { kind: "header" } }, true),
  "RFC822.TEXT": sectionItem("RFC822.TEXT", { path: [], part: { kind: "text" } }, false),
};

const macros: Readonly<Record<string, readonly string[]>> = {
  FAST: ["FLAGS", "INTERNALDATE", "RFC822.SIZE"],
  ALL: ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"],
  FULL: ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"],
};

const maxPathLength = 100;

/** A macro, one item or a list of them; items that have no parameters are named once. */
export function fetchItems(cursor: Cursor): readonly FetchItem[] {
  if (peek(cursor) === "(") {
    const items = list(cursor, (at) => fetchItem(at, word(at)));
    if (items.length === 0) throw new ParseError("Empty FETCH list");
    return [...new Set(items)];
  }
  const name = word(cursor);
  const macro = Object.hasOwn(macros, name) ? macros[name] : undefined;
  return macro ? macro.map((item) => itemNamed(item)) : [fetchItem(cursor, name)];
}

function fetchItem(cursor: Cursor, name: string): FetchItem {
  if (peek(cursor) !== "[") return itemNamed(name);
  if (name !== "BODY" && name !== "BODY.PEEK") throw new ParseError("Unknown FETCH item");
  expect(cursor, "[");
  const { section, text } = sectionSpec(cursor);
  expect(cursor, "]");
  const partial = skip(cursor, "<") ? partialRange(cursor) : undefined;
  const label = partial ? `BODY[${text}]<${partial.startBytes}>` : `BODY[${text}]`;
  return { ...sectionItem(label, section, name === "BODY.PEEK"), partial };
}

function itemNamed(name: string): FetchItem {
  const item = Object.hasOwn(named, name) ? named[name] : undefined;
  if (!item) throw new ParseError("Unknown FETCH item");
  return item;
}

function sectionItem(label: string, section: Section, isPeek: boolean): SectionItem {
  return { kind: "section", label, section, peek: isPeek, partial: undefined };
}

/** `<start.length>`, length above 0. */
function partialRange(cursor: Cursor): SectionItem["partial"] {
  const startBytes = number(cursor);
  expect(cursor, ".");
  const lengthBytes = number(cursor);
  expect(cursor, ">");
  if (lengthBytes === 0) throw new ParseError("Invalid partial range");
  return { startBytes, lengthBytes };
}

function sectionSpec(cursor: Cursor): { readonly section: Section; readonly text: string } {
  if (peek(cursor) === "]") return { section: whole, text: "" };
  const words = word(cursor).split(".");
  const firstName = words.findIndex((one) => !/^[1-9]\d{0,9}$/.test(one));
  const pathLength = firstName < 0 ? words.length : firstName;
  if (pathLength > maxPathLength) throw new ParseError("Section nests too deep");
  const path = words.slice(0, pathLength).map(Number);
  const name = words.slice(pathLength).join(".");
  const { part, text } = sectionPart(cursor, name, path);
  return { section: { path, part }, text: [...path, ...(name === "" ? [] : [text])].join(".") };
}

function sectionPart(
  cursor: Cursor,
  name: string,
  path: readonly number[],
): { readonly part: SectionPart; readonly text: string } {
  if (name === "" && path.length > 0) return { part: { kind: "whole" }, text: name };
  if (name === "HEADER") return { part: { kind: "header" }, text: name };
  if (name === "TEXT") return { part: { kind: "text" }, text: name };
  if (name === "MIME" && path.length > 0) return { part: { kind: "mime" }, text: name };
  if (name !== "HEADER.FIELDS" && name !== "HEADER.FIELDS.NOT") throw new ParseError("Unknown section");
  space(cursor);
  const names = list(cursor, astring);
  if (names.length === 0) throw new ParseError("Empty header list");
  return {
    part: { kind: "fields", names, not: name === "HEADER.FIELDS.NOT" },
    text: `${name} (${names.map(formatAstring).join(" ")})`,
  };
}
