import { expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { mailboxId, modSeq, uid } from "../../src/mail/ids.ts";
import { compareUids } from "../../src/migration/compare.ts";
import { createDeletionBrake, type DeletionBrake } from "../../src/migration/deletion-brake.ts";
import { createMessageTable, type MessageTable } from "../../src/migration/message-table.ts";
import type { AccountStore } from "../../src/store/store.ts";

const settings = new Map<string, string>();
const store = {
  readSetting: (key: string) => settings.get(key),
  writeSetting: (key: string, value: string) => void settings.set(key, value),
} as unknown as AccountStore;

function newBrake(): DeletionBrake {
  return createDeletionBrake(store, mailboxId(1));
}
const uids = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => uid(from + index));

function tableOf(count: number, marked: readonly number[] = []): MessageTable {
  return createMessageTable(
    uids(1, count).map((one) => ({
      presence: "full",
      fileName: `${one}`,
      uid: one,
      flags: flagsOf(marked.includes(one) ? ["\\Deleted"] : []),
      internalDate: { epochSeconds: 0, zoneMinutes: 0 },
      sizeBytes: 1,
      modSeq: modSeq(0n),
    })),
  );
}

function judge(brake: DeletionBrake, table: MessageTable, left: ReturnType<typeof uids>) {
  const difference = compareUids(brake.withoutHeld(table.uids), left);
  const { uids, vanished } = brake.judge(table, { uids: left, ...difference });
  table.setUids(uids, []);
  return { uids, vanished };
}

it.each([
  ["half of a mailbox", 50, uids(26, 50), 25],
  ["most of a small mailbox", 49, uids(49, 49), 48],
])("believes that %s is gone", (_, count, left, gone) => {
  settings.clear();
  const brake = newBrake();
  expect(judge(brake, tableOf(count), left).vanished).toHaveLength(gone);
  expect(brake.held).toEqual([]);
});

it("holds more than half, over a restart, until they are back", () => {
  settings.clear();
  const table = tableOf(50);
  expect(judge(newBrake(), table, uids(27, 52))).toEqual({ uids: uids(1, 52), vanished: [] });
  const brake = newBrake();
  expect(brake.held).toEqual(uids(1, 26));
  // What else goes is believed.
  expect(judge(brake, table, uids(28, 52)).vanished).toEqual([uid(27)]);
  expect(judge(brake, table, [...uids(1, 20), ...uids(28, 52)]).vanished).toEqual([]);
  expect(newBrake().held).toEqual(uids(21, 26));
  expect(judge(brake, table, [...uids(1, 26), ...uids(28, 52)]).vanished).toEqual([]);
  expect(newBrake().held).toEqual([]);
});

it("believes what it is told to", () => {
  settings.clear();
  const brake = newBrake();
  const table = tableOf(60);
  judge(brake, table, []);
  expect(brake.held).toHaveLength(60);
  brake.release();
  expect(judge(brake, table, []).vanished).toHaveLength(60);
  expect(table.uids).toEqual([]);
});

it("counts neither what came a moment ago, nor holds what is not here", () => {
  settings.clear();
  const brake = newBrake();
  const table = tableOf(40);
  judge(brake, table, uids(1, 100));
  expect(judge(brake, table, uids(1, 40)).vanished).toHaveLength(60);
  const half = createMessageTable(uids(1, 60).map((one) => ({ presence: "remote", uid: one })));
  expect(judge(newBrake(), half, []).vanished).toHaveLength(60);
});

it("does not count what was deleted here, or marked by whomever", () => {
  settings.clear();
  const brake = newBrake();
  brake.expect(uids(1, 20));
  const marked = Array.from({ length: 20 }, (_, index) => index + 21);
  expect(judge(brake, tableOf(60, marked), uids(60, 60)).vanished).toHaveLength(59);
});

it("does not count as many as were deleted here without being known, once", () => {
  settings.clear();
  const brake = newBrake();
  brake.expectAny(60);
  const table = tableOf(120);
  expect(judge(brake, table, uids(61, 120)).vanished).toHaveLength(60);
  expect(judge(brake, table, uids(120, 120)).vanished).toEqual([]);
  expect(brake.held).toHaveLength(59);
});

it("what came a moment ago under another UIDVALIDITY excuses no loss under this one", () => {
  const brake = newBrake();
  brake.noteArrived(uids(1, 100));
  brake.reset();
  const { vanished } = judge(brake, tableOf(100), uids(91, 100));
  expect(vanished).toEqual([]);
  expect(brake.held).toEqual(uids(1, 90));
});
