import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { searchCriteria } from "../../src/imap/search-criteria.ts";
import { searchProgram } from "../../src/imap/search-program.ts";
import { cursorOf, expectEnd, ParseError } from "../../src/imap/tokens.ts";
import { uid } from "../../src/mail/ids.ts";
import { type Served, serveAccount } from "./served-account.ts";

function program(text: string) {
  const cursor = cursorOf({ texts: [text], literals: [] });
  const parsed = searchProgram(cursor);
  expectEnd(cursor);
  return parsed.kind === "program" ? parsed.key : parsed.kind;
}

const criteria = (text: string) => {
  const key = program(text);
  if (typeof key === "string") throw new Error(key);
  const { pieces, charset } = searchCriteria(key, new Set([uid(7), uid(8)]));
  return [charset, ...pieces.map((piece) => piece.toString("utf8"))];
};

describe("search program", () => {
  it("reads every key", () => {
    expect(program("ALL")).toEqual({ kind: "all" });
    expect(program("unseen")).toEqual({ kind: "not", key: { kind: "flag", flag: "\\Seen" } });
    expect(program("NEW")).toMatchObject({ kind: "and", keys: [{ kind: "recent" }, { kind: "not" }] });
    expect(program("1:5,*")).toMatchObject({ kind: "sequence" });
    expect(program("SENTSINCE 1-Feb-2024")).toEqual({
      kind: "date",
      of: "sent",
      relation: "since",
      date: { year: 2024, month: 2, day: 1 },
    });
    expect(program('HEADER X-Spam ""')).toEqual({ kind: "header", field: "X-Spam", value: "" });
    expect(program('OR (FROM a TO "b c") NOT UID 3')).toMatchObject({
      kind: "or",
      either: { kind: "and", keys: [{ field: "From" }, { field: "To", value: "b c" }] },
      other: { kind: "not", key: { kind: "uid" } },
    });
    expect(program("CHARSET UTF-8 SUBJECT \xc3\xa9")).toEqual({
      kind: "header",
      field: "Subject",
      value: "é",
    });
    expect(program("CHARSET X-NONE whatever (")).toBe("unknown-charset");
    expect(program("SMALLER 10 LARGER 2 KEYWORD Work UNKEYWORD x")).toMatchObject({ kind: "and" });
  });

  it("refuses the rest", () => {
    for (const text of [
      "",
      "FOO",
      "constructor",
      "SEEN ",
      "(SEEN",
      "()",
      "OR SEEN",
      "NOT",
      "UID x",
      "ON 1-Foo-2024",
      'ON "1-Feb-24"',
      "LARGER -1",
      "RETURN (ALL) ALL",
      `${"NOT ".repeat(100)}ALL`,
      `${"(".repeat(100)}ALL${")".repeat(100)}`,
    ]) {
      expect(() => program(text), text).toThrow(ParseError);
    }
  });

  it("is written for another server", () => {
    expect(criteria("ALL")).toEqual([undefined, "ALL"]);
    expect(criteria('OR FROM "a \\"b\\"" NOT (SEEN KEYWORD Work)')).toEqual([
      undefined,
      'OR FROM "a \\"b\\"" NOT (SEEN KEYWORD Work)',
    ]);
    expect(criteria("HEADER X-Y z TEXT \xc3\xa9 BODY \xc3\xbc SENTBEFORE 3-Jan-2020")).toEqual([
      "UTF-8",
      '(HEADER "X-Y" "z" TEXT {2}\r\n',
      "é BODY {2}\r\n",
      "ü SENTBEFORE 3-Jan-2020)",
    ]);
    expect(criteria("OLD SMALLER 5 UID 3:9 UNFLAGGED")).toEqual([
      undefined,
      "(NOT UID 7:8 SMALLER 5 UID 3:9 NOT FLAGGED)",
    ]);
  });
});

describe("SEARCH", () => {
  let served: Served;

  beforeEach(async () => {
    served = await serveAccount();
  });

  afterEach(() => served.close());

  it("asks for nothing where numbers are enough", async () => {
    const client = await served.select();
    expect((await client.command("a UID SEARCH ALL"))[0]).toBe("* SEARCH 1 2 3");
    expect((await client.command("b SEARCH UID 2:3 1:2"))[0]).toBe("* SEARCH 2");
    expect((await client.command("c SEARCH RECENT"))[0]).toBe("* SEARCH");
    expect(served.inbox.calls).toEqual([]);
  });

  it("asks for metadata only of what the sets leave", async () => {
    const client = await served.select();
    expect((await client.command("a SEARCH 2:3 FLAGGED"))[0]).toBe("* SEARCH 2");
    expect(served.inbox.calls).toEqual(["require meta 2"]);
  });

  it("asks the legacy server for text that is not here, in UIDs, and intersects", async () => {
    served.inbox.complete = false;
    served.inbox.expunge(1);
    const client = await served.select();
    served.inbox.foundRemotely = [3, 1, 99];
    expect((await client.command("a SEARCH TEXT abc"))[0]).toBe("* SEARCH 2");
    expect((await client.command("b UID SEARCH UNFLAGGED OR 1 SUBJECT abc"))[0]).toBe("* SEARCH 3");
    expect((await client.command("c SEARCH ANSWERED TEXT abc"))[0]).toBe("* SEARCH");
    expect(served.inbox.calls.filter((call) => call.startsWith("search"))).toEqual([
      'search - (TEXT "abc")',
      'search - (UID 3 OR UID 2 SUBJECT "abc")',
    ]);
  });

  it("reads here what the legacy server cannot be asked in one line", async () => {
    served.inbox.complete = false;
    for (let count = 0; count < 15_000; count++) served.inbox.add({ text: "x", uid: 10 + count * 2 });
    const client = await served.select();
    await client.command("a SEARCH RETURN (SAVE) UID 10:*");
    expect((await client.command("b SEARCH RETURN (COUNT) OR $ TEXT abc"))[0]).toMatch(/COUNT 1500\d$/);
    expect(served.inbox.calls.filter((call) => call.startsWith("search"))).toEqual([]);
  });

  it("is fast for 50,000 messages", async () => {
    for (let count = 0; count < 50_000; count++) served.inbox.add({ text: "x", uid: 10 + count * 2 });
    const client = await served.select();
    const started = performance.now();
    const line = (await client.command("a UID SEARCH ALL"))[0] ?? "";
    const sequences = (await client.command("b SEARCH ALL"))[0] ?? "";
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(line.split(" ")).toHaveLength(50_005);
    expect(line.endsWith(" 100008")).toBe(true);
    expect(sequences.endsWith(" 50002 50003")).toBe(true);
    expect(served.inbox.calls).toEqual([]);
  });
});
