import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fieldValue,
  headerEnd,
  headerFields,
  selectHeaderFields,
  selectPartFields,
} from "../../src/mail/header.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

test.each([
  ["A: b\r\n\r\nbody", 8],
  ["A: b\n\nbody", 6],
  ["A: b\r\n\nbody", 7],
  ["A: b\n\r\nbody", 7],
  ["\r\nbody", 2],
  ["\nbody", 1],
  ["A: b\r\n \r\n\r\n", 11],
  ["A: b\r\r\n\r\n", 9],
  ["A: b\r\n", undefined],
  ["\rA: b", undefined],
  ["", undefined],
])("the header of %j ends at %j", (text, end) => {
  expect(headerEnd(bytes(text))).toBe(end);
});

describe("fields", () => {
  const fieldsOf = (text: string) =>
    [...headerFields(bytes(text))].map((field) => [field.name, fieldValue(bytes(text), field)]);

  test.each([
    [
      "Subject: a\r\nTo:b\r\n\r\nBcc: c",
      [
        ["Subject", "a"],
        ["To", "b"],
      ],
    ],
    ["X : y\r\n", [["X", "y"]]],
    ["X:  \t y \r\n", [["X", "y "]]],
    [
      "X: a\r\n\tb\r\n  c\r\nY: d",
      [
        ["X", "a\n\tb\n  c"],
        ["Y", "d"],
      ],
    ],
    ["X: \r\n foo\r\n", [["X", "\n foo"]]],
    ["X:   \r\n", [["X", "  "]]],
    ["X: a\r\n \r\n b", [["X", "a \n b"]]],
    ["X: a\0b", [["X", "a\xef\xbf\xbdb"]]],
    [
      "no colon\r\n here\r\nX:",
      [
        ["no colon", "here"],
        ["X", ""],
      ],
    ],
    [" begins folded\r\n", [[" begins folded", ""]]],
    [":\r\n", [["", ""]]],
  ])("of %j", (text, fields) => {
    expect(fieldsOf(text)).toEqual(fields);
  });

  test("cover the block without gaps, whatever it is", () => {
    const piece = fc.constantFrom(
      "a",
      ":",
      " ",
      "\t",
      "\r",
      "\n",
      "\r\n",
      "X: y\r\n",
      "\r\n\r\n",
      "\0",
      "\xff",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const header = bytes(pieces.join(""));
        const ends = [...headerFields(header)].map(({ start, end }) => ({ start, end }));
        const behind = ends.at(-1)?.end ?? 0;
        expect(ends.map(({ start }) => start)).toEqual(
          [0, ...ends.map(({ end }) => end)].slice(0, ends.length),
        );
        const end = headerEnd(header);
        expect([1, 2]).toContain(end === undefined ? 1 : end - behind);
        if (end === undefined) expect(behind).toBe(header.length);
      }),
    );
  });
});

describe("HEADER.FIELDS", () => {
  const header = "Subject: a\r\nTO: b\r\n c\r\nno colon\r\n cont\r\nX : y\r\nto: d\r\n";
  const select = (text: string, names: string[], not = false): string =>
    selectHeaderFields(bytes(text), names, not).toString("latin1");

  test.each([
    ["all of a name in any case, folds included", ["tO"], false, "TO: b\r\n c\r\nto: d\r\n\r\n"],
    ["in the order of the header", ["x", "subject"], false, "Subject: a\r\nX : y\r\n\r\n"],
    ["none that match is an empty line", ["Nope"], false, "\r\n"],
    ["never a line without a colon", ["no colon"], false, "\r\n"],
    ["NOT keeps lines without a colon", ["Subject", "To"], true, "no colon\r\n cont\r\nX : y\r\n\r\n"],
  ])("%s", (_title, names, not, expected) => {
    expect(select(`${header}\r\nbody: x`, names, not)).toBe(expected);
  });

  test("adds the missing empty line, as Dovecot does, but not to NOT", () => {
    expect(select(header, ["x"])).toBe("X : y\r\n\r\n");
    expect(select("X: y", ["x"])).toBe("X: y\r\n\r\n");
    expect(select(header, ["to", "x"], true)).toBe("Subject: a\r\nno colon\r\n cont\r\n");
    expect(select("", ["x"])).toBe("\r\n");
    expect(select("", ["x"], true)).toBe("");
  });

  test("of a part whose header has no end are read on to the next empty line, and get none, as in Dovecot", () => {
    const ofPart = (text: string, names: string[], not = false): string =>
      selectPartFields(bytes(text), names, not).toString("latin1");
    expect(ofPart("To: a\r\n\r\nTo: body\r\n", ["to"])).toBe("To: a\r\n\r\n");
    expect(ofPart("eA==\r\n--b--\r\n", ["to"])).toBe("");
    expect(ofPart("X: y\r\n--b\r\nTo: next\r\n\r\nTo: body\r\n", ["to"])).toBe("To: next\r\n\r\n");
    expect(ofPart("X: y\r\n\r\n--b--\r\n", ["to"], true)).toBe("X: y\r\n\r\n");
  });

  test("keeps the bytes of line ends", () => {
    expect(select("A: b\nTo: c\n d\n\nbody", ["to"])).toBe("To: c\n d\n\n");
  });
});
