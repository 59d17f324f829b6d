import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MailError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { encodedMailboxName, mailboxId, modSeq, uid, uidValidity } from "../../src/mail/ids.ts";
import { createAbsentMailboxes, type StatusAnswer } from "../../src/migration/absent-mailboxes.ts";
import type { AccountStore, MailboxRecord } from "../../src/store/store.ts";

const confirmAfterMs = 30_000;
let settings: Map<string, string>;

beforeEach(() => {
  settings = new Map();
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => void vi.useRealTimers());

const recordOf = (name: string, index: number): MailboxRecord => ({
  id: mailboxId(index + 1),
  name: encodedMailboxName(name),
  separator: "/",
  attributes: [],
  subscribed: false,
  directory: name,
  uidValidity: uidValidity(index + 1),
  uidNext: uid(11),
  highestModSeq: modSeq(0n),
  flags: [],
  permanentFlags: [],
});

const none: StatusAnswer = { status: "rejected", reason: new MailError("NONEXISTENT", "no") };
const away: StatusAnswer = { status: "rejected", reason: new MailError("UNAVAILABLE", "away") };

/** Mailboxes of ten messages each, of which the first is INBOX. */
function open(names: readonly string[], answer: () => StatusAnswer = () => none) {
  const records = names.map(recordOf);
  const store = {
    mailboxes: () => records,
    readSetting: (key: string) => settings.get(key),
    writeSetting: (key: string, value: string) => void settings.set(key, value),
  } as unknown as AccountStore;
  const absent = createAbsentMailboxes({
    store,
    logger: silentLogger,
    confirmAfterMs,
    uidsOf: async () => Array.from({ length: 10 }, (_, index) => uid(index + 1)),
    ask: async (asked) => asked.map(answer),
  });
  const look = async (...unlisted: string[]): Promise<string[]> => {
    const { gone } = await absent.judge(async () => records.filter(({ name }) => unlisted.includes(name)));
    return gone.map(({ record, isWanted }) => `${record.name}${isWanted ? " wanted" : ""}`);
  };
  return { absent, look };
}

const later = (): unknown => vi.setSystemTime(Date.now() + confirmAfterMs);
const five = ["INBOX", "A", "B", "C", "D"];

it("takes one for gone at a second look, and not before its time", async () => {
  const { absent, look } = open(five);
  expect(await look("A")).toEqual([]);
  expect(await look("A")).toEqual([]);
  expect(absent.againInMs()).toBeGreaterThan(0);
  later();
  expect(await look("A")).toEqual(["A"]);
  expect(absent.isAny).toBe(false);
});

it("counts the time anew for one that was listed in between", async () => {
  const { look } = open(five);
  await look("A");
  await look();
  later();
  expect(await look("A")).toEqual([]);
});

it("takes nothing for gone that STATUS does not say is none", async () => {
  let answer = away;
  const { look } = open(five, () => answer);
  await look("A");
  later();
  expect(await look("A")).toEqual([]);
  answer = none;
  expect(await look("A")).toEqual(["A"]);
});

it("holds most of them until somebody decides, though some come back, and over a restart", async () => {
  const first = open(five);
  await first.look("A", "B", "C");
  later();
  expect(await first.look("A", "B", "C")).toEqual([]);
  const { absent, look } = open(five);
  expect([...absent.held]).toEqual([2, 3, 4]);
  expect(await look("A")).toEqual([]);
  expect([...absent.held]).toEqual([2]);
  absent.release();
  expect(await look("A")).toEqual(["A"]);
});

it("takes a decision for what was absent then, and for nothing later", async () => {
  const { absent, look } = open(five);
  await look("A");
  absent.release();
  expect(await look()).toEqual([]);
  expect(await look("A")).toEqual([]);
});

it("believes a DELETE through Mailferry at once, and one whose answer was lost when STATUS bears it out", async () => {
  let answer: StatusAnswer = away;
  const { absent, look } = open(five, () => answer);
  absent.expect([encodedMailboxName("A")], "done");
  expect(await look("A")).toEqual(["A wanted"]);
  absent.expect([encodedMailboxName("B")], "unknown");
  expect(await look("B")).toEqual([]);
  absent.expect([encodedMailboxName("B")], "unknown");
  answer = none;
  expect(await look("B")).toEqual(["B wanted"]);
  // Listed all the same: what goes later goes for another reason.
  absent.expect([encodedMailboxName("C")], "done");
  await look();
  expect(await look("C")).toEqual([]);
});
