import { expect, it } from "vitest";
import { type Uid, uid } from "../../src/mail/ids.ts";
import { markCutover } from "../../src/migration/cutover-marks.ts";
import { noteRemoved, removedHere } from "../../src/migration/removed-here.ts";
import type { AccountStore, MailboxRecord } from "../../src/store/store.ts";

const record = { id: 1, uidValidity: 1 } as unknown as MailboxRecord;

function settingsOnly(): AccountStore {
  const settings = new Map<string, string>();
  return {
    readSetting: (key: string) => settings.get(key),
    writeSetting: (key: string, value: string) => void settings.set(key, value),
  } as unknown as AccountStore;
}

const range = (from: number, count: number): Uid[] =>
  Array.from({ length: count }, (_, index) => uid(from + index));

it("knows what was removed since the cutover, however much that is", () => {
  const store = settingsOnly();
  noteRemoved(store, record, [uid(3)]);
  markCutover(store, []);
  noteRemoved(store, record, [uid(5)]);
  noteRemoved(store, record, range(100, 60_000));
  noteRemoved(store, record, [uid(4_000_000_000)]);
  const isRemoved = removedHere(store, record);
  expect([5, 100, 60_099, 4_000_000_000].map((one) => isRemoved(uid(one)))).toEqual([true, true, true, true]);
  expect([3, 4, 6, 99, 60_100].map((one) => isRemoved(uid(one)))).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
});
