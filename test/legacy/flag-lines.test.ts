import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ImapCommand } from "../../src/legacy/command-queue.ts";
import { readFlagLines } from "../../src/legacy/flag-lines.ts";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import { quirksOf } from "../../src/legacy/quirks.ts";
import { createResponseReader } from "../../src/legacy/response-reader.ts";
import { uidFetch } from "../../src/legacy/uid-fetch.ts";
import { parseResponse, type Tagged } from "../../src/legacy/untagged.ts";
import { type Flags, flagsOf } from "../../src/mail/flags.ts";
import type { ModSeq, Uid } from "../../src/mail/ids.ts";

interface Taken {
  readonly uid: Uid;
  readonly flags: Flags;
  readonly modSeq: ModSeq | bigint;
}
/** What the command took, and the text of what it left to others. */
type Seen = Taken | string;

/** What comes of a server's bytes while flags of UIDs 1 to 50 are asked for. */
function answers(chunks: readonly Buffer[], fastWay: boolean): readonly Seen[] {
  const seen: Seen[] = [];
  let command: ImapCommand | undefined;
  const connection = {
    isClosed: false,
    quirks: quirksOf("", new Set()),
    run(sent: ImapCommand) {
      command = sent;
      return new Promise<Tagged>(() => undefined);
    },
  };
  void uidFetch(connection as unknown as ImapConnection, {
    uids: [
      { from: 1, to: 20 },
      { from: 30, to: 50 },
    ],
    items: "(UID FLAGS)",
    ...(fastWay && { onFlags: (change) => seen.push(change) }),
    onAnswer(uid, { flags, internalDate, modSeq }) {
      if (flags === undefined || internalDate !== undefined) return false;
      seen.push({ uid, flags, modSeq: modSeq ?? 0n });
      return true;
    },
  });
  const reader = createResponseReader({
    lines: (bytes) => command?.onLines?.(bytes) ?? 0,
    literal: () => undefined,
    response(text, literals) {
      const response = parseResponse(text, literals);
      const isTaken = response.kind === "untagged" && command?.onUntagged?.(response.untagged, "M1") === true;
      if (!isTaken) seen.push(text);
      return undefined;
    },
  });
  for (const chunk of chunks) void reader.push(chunk);
  return seen;
}

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const number = pick(
  "1",
  "7",
  "20",
  "21",
  "30",
  "50",
  "4294967295",
  "4294967296",
  "0",
  "007",
  "00000000007",
  "",
);
const keyword = pick(
  "\\Seen",
  "\\seen",
  "\\Recent",
  "$Label1",
  "gr\xfcn",
  "[x]",
  "{3}",
  '"',
  "UID",
  "a(b",
  "\r",
);
const flagList = fc.array(keyword, { maxLength: 4 }).map((names) => `FLAGS (${names.join(" ")})`);
const modSeqItem = pick("0", "1", "715194045007", "123456789012345", "9223372036854775807", "x").map(
  (value) => `MODSEQ (${value})`,
);
const items = fc
  .tuple(
    number.map((value) => `UID ${value}`),
    flagList,
    modSeqItem,
    fc.integer({ min: 0, max: 5 }),
  )
  .map(([uid, flags, modSeq, order]) => {
    const all = [
      [uid, flags],
      [flags, uid],
      [uid, flags, modSeq],
      [uid, modSeq, flags],
      [modSeq, flags, uid],
      [flags, uid, flags],
    ];
    return all[order]!.join(" ");
  });
const simpleLine = fc.tuple(number, items).map(([sequence, list]) => `* ${sequence} FETCH (${list})\r\n`);
/** What only the ordinary parser reads; the literal's text looks like answers. */
const oddLine = fc.oneof(
  items.map((list) => `* 3 fetch (${list})\r\n`),
  items.map((list) => `* 3 FETCH  (${list} )\r\n`),
  items.map((list) => `* 3 FETCH (${list.toLowerCase()})\r\n`),
  items.map((list) => `* 3 FETCH (${list})\n`),
  items.map((list) => `* 3 FETCH (${list}) \r\n`),
  items.map((list) => `* 3 FETCH (${list} RFC822.SIZE 12)\r\n`),
  items.map((list) => `* 3 FETCH (${list} INTERNALDATE "17-Jul-1996 02:44:25 +0530")\r\n`),
  items.map((list) => {
    const inner = `x\r\n* 4 FETCH (${list})\r\n`;
    return `* 3 FETCH (BODY[] {${inner.length}}\r\n${inner} UID 3)\r\n`;
  }),
  pick(
    "* 12 EXISTS\r\n",
    "* 3 EXPUNGE\r\n",
    "* OK still {3}\r\n",
    "\r\n",
    "M1 OK done\r\n",
    "* 3 FETCH (\r\n",
  ),
);
const stream = fc.array(fc.oneof({ weight: 3, arbitrary: simpleLine }, oddLine), { maxLength: 30 });

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe("flags of many messages", () => {
  it("are what the ordinary parser makes of the same bytes, in the same order, however they are cut", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(stream, sizes, (lines, pieces) => {
        const bytes = Buffer.from(lines.join(""), "latin1");
        expect(answers(cut(bytes, pieces), true)).toEqual(answers([bytes], false));
      }),
      { numRuns: 2_000 },
    );
  });

  it("are read without the ordinary parser where the lines are plain", () => {
    const lines = ["(UID 3 FLAGS (\\Seen))", "(FLAGS () UID 4)", "(UID 5 MODSEQ (9) FLAGS (a \\Recent))"];
    const bytes = Buffer.from(lines.map((list, index) => `* ${index} FETCH ${list}\r\n`).join(""));
    const seen: unknown[] = [];
    const taken = readFlagLines(
      bytes,
      () => true,
      (...line) => seen.push(line),
    );
    expect(taken).toBe(bytes.length);
    expect(seen).toEqual([
      [3, flagsOf(["\\Seen"]), 0n],
      [4, flagsOf([]), 0n],
      [5, flagsOf(["a"]), 9n],
    ]);
  });

  it("are told apart though their lists have the same hash", () => {
    const seen: Flags[] = [];
    // "Aa" and "BB": 31 times the first letter and the second one are the same.
    for (const list of ["Aa", "BB", "Aa"]) {
      readFlagLines(
        Buffer.from(`* 1 FETCH (UID 1 FLAGS (${list}))\r\n`),
        () => true,
        (_uid, flags) => seen.push(flags),
      );
    }
    expect(seen).toEqual([["Aa"], ["BB"], ["Aa"]]);
  });
});
