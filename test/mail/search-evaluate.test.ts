import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, sequenceNumber, uid } from "../../src/mail/ids.ts";
import { parseInternalDate } from "../../src/mail/internal-date.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { sentDay } from "../../src/mail/search-date.ts";
import { evaluateSearch, type SearchableMessage, searchNeeds } from "../../src/mail/search-evaluate.ts";
import { createTextFinder, foldText } from "../../src/mail/search-fold.ts";
import type { SearchKey } from "../../src/mail/search-key.ts";

const text =
  "From: Alice <alice@example.org>\r\nDate: Tue, 31 Dec 2019 23:59:00 -1200\r\n" +
  "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= from\r\n afar\r\nContent-Type: text/plain; charset=iso-8859-1\r\n" +
  "Content-Transfer-Encoding: quoted-printable\r\n\r\nein sch=F6ner T=\r\nag\r\n";

interface Opened extends SearchableMessage {
  opened: number;
  closed: number;
}

function message(overrides: Partial<SearchableMessage> = {}, bytes = Buffer.from(text, "latin1")): Opened {
  const state = { opened: 0, closed: 0 };
  const content = (): MessageContent => {
    state.opened++;
    return {
      sizeBytes: bytes.length,
      read: (start, end) => bytes.subarray(start, end),
      close: () => void state.closed++,
    };
  };
  const meta = {
    uid: uid(7),
    flags: flagsOf(["\\Seen", "Work"]),
    internalDate: parseInternalDate("01-Jan-2020 00:30:00 +0100")!,
    sizeBytes: 1000,
    modSeq: modSeq(0n),
  };
  const header = (): Buffer => bytes.subarray(0, bytes.indexOf("\r\n\r\n") + 4);
  return Object.assign(state, {
    sequenceNumber: sequenceNumber(3),
    uid: uid(7),
    recent: false,
    meta,
    header,
    content,
    ...overrides,
  });
}

const limits = { largestUid: 7, largestSequenceNumber: 3 };
const flag = (name: string): SearchKey => ({ kind: "flag", flag: name });
const header = (field: string, value: string): SearchKey => ({ kind: "header", field, value });
const day = (of: "internal" | "sent", relation: "before" | "on" | "since", date: string): SearchKey => {
  const [year = 0, month = 0, day = 0] = date.split("-").map(Number);
  return { kind: "date", of, relation, date: { year, month, day } };
};
const set = (kind: "uid" | "sequence", from: number | "*", to: number | "*"): SearchKey => ({
  kind,
  set: [{ from, to }],
});

describe("keys that are answered at once", () => {
  test.each<[SearchKey, boolean]>([
    [{ kind: "all" }, true],
    [{ kind: "recent" }, false],
    [flag("\\seen"), true],
    [flag("\\Deleted"), false],
    [flag("WORK"), true],
    [{ kind: "size", relation: "larger", sizeBytes: 999 }, true],
    [{ kind: "size", relation: "larger", sizeBytes: 1000 }, false],
    [{ kind: "size", relation: "smaller", sizeBytes: 1000 }, false],
    [set("uid", 1, 6), false],
    [set("uid", 5, 9), true],
    [set("uid", "*", "*"), true],
    [set("uid", 100, "*"), true],
    [set("sequence", 4, 9), false],
    [set("sequence", 3, 3), true],
    [day("internal", "on", "2020-1-1"), true],
    [day("internal", "before", "2020-1-1"), false],
    [day("internal", "since", "2020-1-1"), true],
    [day("internal", "since", "2020-1-2"), false],
    [day("sent", "on", "2019-12-31"), true],
    [day("sent", "since", "2020-1-1"), false],
    [day("sent", "before", "2020-1-1"), true],
    [header("subject", "grüsse"), false],
    [header("SUBJECT", "GRÜSSE FROM AFAR"), false],
    [header("SUBJECT", "GRÜßE FROM AFAR"), true],
    [header("Subject", "grusse"), false],
    [header("Subject", "gru"), true],
    [header("From", "alice <ALICE@"), true],
    [header("From", ""), true],
    [header("Cc", ""), false],
    [header("X-None", "a"), false],
    [{ kind: "not", key: flag("\\Seen") }, false],
    [{ kind: "or", either: flag("\\Draft"), other: flag("Work") }, true],
    [{ kind: "and", keys: [flag("\\Seen"), flag("\\Draft")] }, false],
    [{ kind: "and", keys: [] }, true],
  ])("%j: %s", (key, expected) => {
    expect(evaluateSearch(key, message(), limits)).toBe(expected);
  });

  test("nothing about a message that is gone matches", async () => {
    const gone = message({ meta: undefined, header: () => undefined, content: () => undefined });
    for (const key of [flag("\\Seen"), header("From", ""), day("internal", "since", "1970-1-1")]) {
      expect(await evaluateSearch(key, gone)).toBe(false);
    }
    expect(await evaluateSearch({ kind: "text", value: "a" }, gone)).toBe(false);
  });
});

describe("text", () => {
  test.each<["body" | "text", string, boolean]>([
    ["body", "SCHÖNER TAG", true],
    ["body", "Scho", true],
    ["body", "Schon", false],
    ["body", "=F6", false],
    ["body", "afar", false],
    ["text", "afar", true],
    ["text", "grüße from afar", true],
    ["text", "Content-Type: text", true],
    ["body", "", true],
  ])("%s %s: %s", async (kind, value, expected) => {
    const searched = message();
    expect(await evaluateSearch({ kind, value }, searched)).toBe(expected);
    expect(searched.closed).toBe(searched.opened);
  });

  test("is only looked at where cheaper keys leave it open", async () => {
    const keys: SearchKey[] = [{ kind: "body", value: "x" }, flag("\\Draft")];
    const searched = message();
    expect(evaluateSearch({ kind: "and", keys }, searched)).toBe(false);
    expect(evaluateSearch({ kind: "or", either: keys[0]!, other: flag("\\Seen") }, searched)).toBe(true);
    expect(searched.opened).toBe(0);
    const both: SearchKey = { kind: "and", keys: [flag("\\Seen"), { kind: "body", value: "tag" }] };
    expect(await evaluateSearch({ kind: "not", key: both }, searched)).toBe(false);
  });

  test("a header that is not at hand is read from the content", async () => {
    const searched = message({ header: () => Promise.resolve(undefined) });
    expect(await evaluateSearch(header("subject", "afar"), searched)).toBe(true);
    expect([searched.opened, searched.closed]).toEqual([1, 1]);
    const late = message({ header: () => Promise.resolve(Buffer.from("Subject: late\r\n\r\n")) });
    expect(await evaluateSearch(header("subject", "late"), late)).toBe(true);
  });

  test("content is closed when it fails", async () => {
    let closed = 0;
    const read = (): never => {
      throw new Error("broken");
    };
    const failing = message({ content: () => ({ sizeBytes: 10, read, close: () => void closed++ }) });
    await expect(evaluateSearch({ kind: "body", value: "x" }, failing)).rejects.toThrow("broken");
    expect(closed).toBe(1);
  });

  test("is found across the pieces of a large message", async () => {
    const filler = "lorem ipsum\r\n".repeat(20_000);
    const large = Buffer.from(`Subject: large\r\n\r\n${filler}the needle${filler}`);
    expect(await evaluateSearch({ kind: "body", value: "THE NEEDLElorem" }, message({}, large))).toBe(true);
    expect(await evaluateSearch({ kind: "body", value: "the noodle" }, message({}, large))).toBe(false);
  });

  test("a finder finds what includes finds, however the text is cut", () => {
    const short = fc.string({ unit: fc.constantFrom("a", "B", "é", "ß", "e\u0301"), maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(short),
        fc.string({ unit: fc.constantFrom("a", "b", "É"), maxLength: 4 }),
        (pieces, value) => {
          const finder = createTextFinder(foldText(value));
          for (const piece of pieces) finder.push(piece);
          expect(finder.push("")).toBe(pieces.map(foldText).join("").includes(foldText(value)));
        },
      ),
    );
  });
});

test.each<[SearchKey, string]>([
  [set("uid", 1, 2), "none"],
  [{ kind: "not", key: { kind: "recent" } }, "none"],
  [{ kind: "and", keys: [{ kind: "all" }, flag("a")] }, "meta"],
  [day("internal", "on", "2020-1-1"), "meta"],
  [day("sent", "on", "2020-1-1"), "header"],
  [{ kind: "or", either: header("a", "b"), other: flag("a") }, "header"],
  [{ kind: "and", keys: [header("a", "b"), { kind: "text", value: "a" }] }, "full"],
])("%j needs %s", (key, needs) => {
  expect(searchNeeds(key)).toBe(needs);
});

test.each<[string, string | undefined]>([
  ["Mon, 5 Feb 2018 10:11:10 +0100", "2018-2-5"],
  ["5 Feb 2018", undefined],
  ["Tue,31 Dec 2019 23:59:60 -1200 (far (west))", "2019-12-31"],
  [" (c) 1 Jan 99 00:00 GMT", "1999-1-1"],
  ["1\r\n Jan 03 00:00 GMT", "2003-1-1"],
  ["yesterday", undefined],
  ["5 Foo 2018", undefined],
  ["", undefined],
])("the day of %j is %s", (value, expected) => {
  const found = sentDay(value);
  expect(found && `${found.year}-${found.month}-${found.day}`).toBe(expected);
});
