import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fetchItems } from "../../src/imap/fetch-items.ts";
import { formatAstring, formatReply, formatString, formatText, no } from "../../src/imap/formatter.ts";
import type { CommandText } from "../../src/imap/fragments.ts";
import { parseCommandLine } from "../../src/imap/parser.ts";
import {
  astring,
  type Cursor,
  cursorOf,
  expectEnd,
  list,
  listMailbox,
  nstring,
  number,
  ParseError,
  sequenceSet,
} from "../../src/imap/tokens.ts";

const commandOf = (...texts: string[]): CommandText => ({ texts, literals: [] });

function read<T>(text: string, reader: (cursor: Cursor) => T): T {
  const cursor = cursorOf(commandOf(text));
  const value = reader(cursor);
  expectEnd(cursor);
  return value;
}

describe("command line", () => {
  it("reads tag and name in any case", () => {
    expect(parseCommandLine(commandOf("a1 noop"))).toMatchObject({ tag: "a1", name: "NOOP" });
    expect(parseCommandLine(commandOf("A.2 uid fetch 1 all"))).toMatchObject({
      tag: "A.2",
      name: "UID FETCH",
    });
  });

  it("keeps the tag of what makes no sense", () => {
    for (const text of ["a1", "a1 ", "a1  NOOP", 'a1 "x"', "a1 (", "a1 UID", "a1 UID "]) {
      const { tag, name } = parseCommandLine(commandOf(text));
      expect([tag, name.trim()]).toEqual(["a1", expect.stringMatching(/^(UID)?$/)]);
    }
  });

  it("has no tag where there is none", () => {
    for (const text of ["", " a NOOP", "* NOOP", "+ x", "(a) NOOP", "\0", `${"x".repeat(300)} NOOP`]) {
      expect(parseCommandLine(commandOf(text)).tag).toBeUndefined();
    }
  });
});

describe("terminals", () => {
  it("reads strings in each form", () => {
    expect(read("INBOX", astring)).toBe("INBOX");
    expect(read("a]b\xe9", astring)).toBe("a]b\xe9");
    expect(read('"a \\"b\\" \\\\"', astring)).toBe('a "b" \\');
    expect(read('""', astring)).toBe("");
    expect(read("NIL", nstring)).toBeUndefined();
    expect(read('"NIL"', nstring)).toBe("NIL");
    expect(read("%/*", listMailbox)).toBe("%/*");
    expect(read("()", (cursor) => list(cursor, number))).toEqual([]);
    expect(read("(1 2)", (cursor) => list(cursor, number))).toEqual([1, 2]);
  });

  it("reads a literal only where one was announced", () => {
    const command: CommandText = {
      texts: ["{3+}", " x"],
      literals: [{ kind: "kept", bytes: Buffer.from("a\r\n") }],
    };
    const cursor = cursorOf(command);
    expect(astring(cursor)).toBe("a\r\n");
    expect(cursor).toMatchObject({ part: 1, at: 0 });
    expect(() => read("{3}x", astring)).toThrow(ParseError);
    expect(() => read("{3}", astring)).toThrow(ParseError);
  });

  it("refuses what is not one", () => {
    const bad: readonly [string, (cursor: Cursor) => unknown][] = [
      ["a(b", astring],
      ['"open', astring],
      ['"a\\x"', astring],
      ["", astring],
      ["99999999999", number],
      ["4294967296", number],
      ["-1", number],
      ["0", sequenceSet],
      ["1:", sequenceSet],
      ["1,,2", sequenceSet],
      ["(1 )", (cursor) => list(cursor, number)],
      ["(1", (cursor) => list(cursor, number)],
      ["( 1)", (cursor) => list(cursor, number)],
    ];
    for (const [text, reader] of bad) expect(() => read(text, reader), text).toThrow(ParseError);
  });

  it("reads back what the formatter writes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (value) => {
        const formatted = formatString(value);
        if (formatted.startsWith("{")) expect(formatted).toBe(`{${value.length}}\r\n${value}`);
        else expect(read(formatted, astring)).toBe(value);
        const bare = formatAstring(value);
        if (!bare.startsWith("{")) expect(read(bare, astring)).toBe(value);
      }),
    );
  });

  it("lets no text break out of its line", () => {
    expect(formatText("a\r\nb NO x")).toBe("a b NO x");
    expect(formatReply("a", no("[ALERT] no", "CANNOT"))).toBe("a NO [CANNOT] - [ALERT] no\r\n");
    expect(formatReply("a", no(""))).toBe("a NO -\r\n");
  });
});

describe("FETCH items", () => {
  const items = (text: string) => read(text, fetchItems);
  const labels = (text: string) =>
    items(text).map((item) => (item.kind === "section" ? item.label : item.kind));

  it("knows the macros, which stand alone", () => {
    expect(labels("FAST")).toEqual(["flags", "internal-date", "size"]);
    expect(labels("all")).toEqual(["flags", "internal-date", "size", "envelope"]);
    expect(labels("FULL")).toEqual(["flags", "internal-date", "size", "envelope", "body"]);
    expect(() => items("(FAST)")).toThrow(ParseError);
  });

  it("knows every item", () => {
    expect(labels("(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)")).toEqual([
      "uid",
      "flags",
      "internal-date",
      "size",
      "envelope",
      "body",
      "body-structure",
    ]);
    expect(items("RFC822")).toMatchObject([
      { label: "RFC822", peek: false, section: { part: { kind: "whole" } } },
    ]);
    expect(items("RFC822.HEADER")).toMatchObject([{ peek: true, section: { part: { kind: "header" } } }]);
    expect(items("RFC822.TEXT")).toMatchObject([{ peek: false, section: { part: { kind: "text" } } }]);
    expect(labels("(UID FLAGS UID)")).toEqual(["uid", "flags"]);
  });

  it("reads sections", () => {
    expect(items("BODY[]")).toMatchObject([{ label: "BODY[]", peek: false, partial: undefined }]);
    expect(items("body.peek[1.2.mime]<10.20>")).toEqual([
      {
        kind: "section",
        label: "BODY[1.2.MIME]<10>",
        section: { path: [1, 2], part: { kind: "mime" } },
        peek: true,
        partial: { startBytes: 10, lengthBytes: 20 },
      },
    ]);
    expect(items('BODY[HEADER.FIELDS (From "x y")]')).toMatchObject([
      {
        label: 'BODY[HEADER.FIELDS (From "x y")]',
        section: { path: [], part: { kind: "fields", names: ["From", "x y"], not: false } },
      },
    ]);
    expect(items("BODY[2.HEADER.FIELDS.NOT (To)]")).toMatchObject([
      { section: { path: [2], part: { kind: "fields", not: true } } },
    ]);
    expect(items("BODY[3]")).toMatchObject([{ section: { path: [3], part: { kind: "whole" } } }]);
  });

  it("refuses the rest", () => {
    for (const text of [
      "()",
      "(FLAGS  UID)",
      "FLAGS UID",
      "toString",
      "BODY[MIME]",
      "BODY[0]",
      "BODY[1..2]",
      "BODY[HEADER.FIELDS]",
      "BODY[HEADER.FIELDS ()]",
      "BODY[]<5>",
      "BODY[]<0.0>",
      "BODY[",
      "FLAGS[]",
      `BODY[${"1.".repeat(101)}1]`,
      "BINARY[1]",
    ]) {
      expect(() => items(text), text).toThrow(ParseError);
    }
  });

  it("never fails in any other way", () => {
    const piece = fc.constantFrom(
      "BODY",
      "[",
      "]",
      "(",
      ")",
      "<",
      ">",
      "1",
      ".",
      " ",
      "HEADER.FIELDS",
      '"',
      "{3}",
      "FAST",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 15 }), (pieces) => {
        try {
          items(pieces.join(""));
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
    );
  });
});
