import { describe, expect, it } from "vitest";
import { validCommands } from "../helpers/command-noise.ts";
import { growthOf } from "../helpers/growth.ts";
import { fuzzParser, parseAll } from "./fuzz-parser.ts";

describe("the command parser", () => {
  it("reads the commands that the noise is made from", () => {
    const isRead = (text: string) => parseAll(Buffer.from(`${text}\r\n`, "latin1")).parsed === 1;
    expect(validCommands.filter((text) => !isRead(text))).toEqual([]);
  });

  it("fails on noise as it says, or not at all", () => {
    const { parsed, refused } = fuzzParser(20_261_125, 30_000);
    expect(parsed).toBeGreaterThan(1_000);
    expect(refused).toBeGreaterThan(1_000);
  });

  it.each([
    ["an atom", "a SELECT ", "x", ""],
    ["a tag", "", "x", " NOOP"],
    ["spaces", "a", " ", "NOOP"],
    ["a quoted string", 'a SELECT "', "\\\\", ""],
    ["an open quoted string", 'a SELECT "', 'x"', ""],
    ["a set", "a FETCH 1", ",1", " FLAGS"],
    ["a set of stars", "a FETCH *", ",*:*", " FLAGS"],
    ["a set that breaks off", "a FETCH 1", ",1:", " FLAGS"],
    ["digits", "a FETCH ", "1", " FLAGS"],
    ["a path", "a FETCH 1 BODY[1", ".1", "]"],
    ["names", "a FETCH 1 BODY[HEADER.FIELDS (x", " x", ")]"],
    ["FETCH items", "a FETCH 1 (UID", " BODY[1]", ")"],
    ["parentheses", "a SEARCH ", "(", "ALL"],
    ["closing parentheses", "a SEARCH (ALL", ")", ""],
    ["search keys", "a SEARCH ALL", " NOT SEEN", ""],
    ["ORs", "a SEARCH ", "OR ", "ALL"],
    ["flags", "a STORE 1 FLAGS (x", " x", ")"],
    ["backslashes", "a STORE 1 FLAGS (", "\\", ")"],
    ["literals", "a SEARCH ALL", " TEXT {1+}\r\nx", ""],
    ["literals behind a long tag", `${"x".repeat(4_000)}`, " {0+}\r\n", ""],
    ["announcements", "a SEARCH ", "{1", "}"],
    ["pairs of ID", "a ID (NIL NIL", " NIL NIL", ")"],
    ["wildcards", 'a LIST "" ', "*%", ""],
    ["base64", "a AUTHENTICATE PLAIN ", "A=", ""],
    ["carriage returns", "a NOOP", "\r", "x"],
    ["known sequences", "a SELECT x (QRESYNC (1 1 1", ",1", "))"],
  ])("takes time in proportion to %s", (_title, head, piece, tail) => {
    const make = (bytes: number): Buffer =>
      Buffer.from(`${head}${piece.repeat(bytes / piece.length)}${tail}\r\n`, "latin1");
    expect(growthOf((input: Buffer) => parseAll(input), make)).toBeLessThan(4);
  });
});
