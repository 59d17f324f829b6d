import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FetchAnswer, parseFetch } from "../../src/legacy/fetch-answer.ts";
import { fetchPosition } from "../../src/legacy/untagged.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { parseInternalDate } from "../../src/mail/internal-date.ts";

function parse(text: string, ...literals: string[]): Partial<FetchAnswer> {
  const { isWhole: _, ...answer } = parseWhole(text, ...literals);
  return Object.fromEntries(Object.entries(answer).filter(([, value]) => value !== undefined));
}

function parseWhole(text: string, ...literals: string[]): FetchAnswer {
  const position = fetchPosition(text);
  if (position === undefined) throw new Error("not a FETCH");
  return parseFetch(
    text,
    literals.map((literal) => Buffer.from(literal, "latin1")),
    position,
  );
}

describe("parseFetch", () => {
  it("tells whether it ends where it should", () => {
    const date = '" 7-Jul-1996 02:44:25 -0700"';
    const whole = [
      "(BODY[] {3} UID 2)",
      "(UID 2 BODY[] {3})",
      `(UID 2 FLAGS () INTERNALDATE ${date} RFC822.SIZE 3)`,
    ];
    for (const list of whole) expect(parseWhole(`* 1 FETCH ${list}`, "abc").isWhole).toBe(true);
    // The literal was shorter, and has taken the beginning of what follows.
    const broken = [
      "(UID 2 BODY[] {3}",
      "(UID 2 BODY[] {3}ject: one",
      "(UID 2 BODY[] {3}two (2) three",
      "(UID 2 BODY[] {3}) a",
    ];
    for (const list of broken) expect(parseWhole(`* 1 FETCH ${list}`, "abc").isWhole).toBe(false);
  });

  it("reads the metadata in any order and case", () => {
    const internalDate = { epochSeconds: 836732665, zoneMinutes: -420 };
    const meta = {
      uid: 4,
      flags: flagsOf(["\\Seen", "$Done"]),
      internalDate,
      sizeBytes: 44827,
      modSeq: 2n ** 62n,
    };
    const date = '" 7-Jul-1996 02:44:25 -0700"';
    expect(
      parse(
        `* 12 FETCH (UID 4 FLAGS (\\Seen $Done) INTERNALDATE ${date} RFC822.SIZE 44827 MODSEQ (${2n ** 62n}))`,
      ),
    ).toEqual(meta);
    expect(
      parse(
        `* 12 fetch (modseq (${2n ** 62n}) rfc822.size 44827 flags ($Done \\seen \\Recent) InternalDate ${date} uid 4)`,
      ),
    ).toEqual(meta);
  });

  it("keeps 8-bit and odd keywords", () => {
    expect(parse("* 1 FETCH (FLAGS (\\XMeins gr\xfcn [x] UID) UID 9)")).toEqual({
      uid: 9,
      flags: flagsOf(["\\XMeins", "gr\xfcn", "[x]", "UID"]),
    });
  });

  it("tells NIL, the empty string, a quoted string and a literal apart", () => {
    expect(parse("* 1 FETCH (UID 1 BODY[] NIL)").content).toBeNull();
    expect(parse('* 1 FETCH (UID 1 BODY[] "")').content).toEqual(Buffer.alloc(0));
    expect(parse('* 1 FETCH (UID 1 BODY[] "a\\"b\\\\\xe9")').content).toEqual(
      Buffer.from('a"b\\\xe9', "latin1"),
    );
    expect(parse("* 1 FETCH (BODY[] {3} UID 1)", "x)\r")).toEqual({ uid: 1, content: Buffer.from("x)\r") });
    expect(parse("* 1 FETCH (BODY[HEADER] {2} UID 1)", "\r\n").header).toEqual(Buffer.from("\r\n"));
  });

  it("steps over what it was not asked for", () => {
    const text =
      '* 3 FETCH (X-GM-LABELS ("\\\\Inbox" {3}) BODY[HEADER.FIELDS (A B)] {4} ENVELOPE (NIL ((NIL NIL "a" ")"))) BODY[1]<0> "x" UID 6)';
    expect(parse(text, "L)L", "A: b")).toEqual({ uid: 6 });
  });

  it("gives structures as they stood on the wire, literals included", () => {
    const text =
      '* 1 FETCH (UID 2 BODY ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1) BODYSTRUCTURE (("TEXT" "a)\\"(" ("NAME" {4})) "MIXED"))';
    const answer = parse(text, "\xe9(\r\n");
    expect(answer.body?.toString("latin1")).toBe('("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1)');
    expect(answer.bodyStructure?.toString("latin1")).toBe(
      '(("TEXT" "a)\\"(" ("NAME" {4}\r\n\xe9(\r\n)) "MIXED")',
    );
    expect(parse("* 1 FETCH (UID 2 BODY NIL)").body).toBeUndefined();
  });

  it("reads dates like any other reader of them", () => {
    const two = (max: number): fc.Arbitrary<string> =>
      fc.integer({ min: 0, max }).map((value) => String(value).padStart(2, "0"));
    const zone = fc.tuple(fc.constantFrom("+", "-"), two(14), two(59)).map((parts) => parts.join(""));
    const day = fc.integer({ min: 1, max: 31 }).map((value) => String(value).padStart(2, " "));
    const time = fc.tuple(two(23), two(59), two(60)).map((parts) => parts.join(":"));
    fc.assert(
      fc.property(day, fc.constantFrom("Jan", "feb", "Dec", "Xxx"), time, zone, (...[d, month, t, z]) => {
        const date = `${d}-${month}-2021 ${t} ${z}`;
        const common = `* 1 FETCH (UID 1 FLAGS () INTERNALDATE "${date}" RFC822.SIZE 1)`;
        const other = `* 1 FETCH (INTERNALDATE "${date}" UID 1)`;
        expect(parse(common).internalDate).toEqual(parseInternalDate(date));
        expect(parse(other).internalDate).toEqual(parseInternalDate(date));
      }),
    );
  });

  it("ends, whatever it is given", () => {
    const broken = [
      "* 1 FETCH ",
      "* 1 FETCH (",
      "* 1 FETCH )(",
      "* 1 FETCH (UID",
      "* 1 FETCH (UID x FLAGS \\Seen)",
    ];
    broken.push(
      "* 1 FETCH (FLAGS (a",
      '* 1 FETCH (BODY[ "',
      "* 1 FETCH (BODY ((((",
      `* 1 FETCH (X ${"(".repeat(5000)})`,
    );
    for (const text of broken) expect(parse(text).uid).toBeUndefined();
    expect(parse("* 1 FETCH (UID 4294967296)")).toEqual({});
    expect(parse('* 1 FETCH (UID 3 INTERNALDATE "yesterday" RFC822.SIZE -1)')).toEqual({ uid: 3 });
  });
});
