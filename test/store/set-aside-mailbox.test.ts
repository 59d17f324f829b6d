import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, fileAndSave, type StoreFixture, toFile } from "./fixture.ts";

const dayMs = 86_400_000;
let fixture: StoreFixture;
let store: AccountStore;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  fixture = createFixture();
  store = await fixture.open();
});
afterEach(async () => {
  await store.close();
  fixture.remove();
  vi.useRealTimers();
});

const later = (days: number): unknown => vi.setSystemTime(Date.now() + days * dayMs);

it("keeps the files of a mailbox for some days, and for longer while nobody was told of them", async () => {
  const archive = addMailbox(store, { name: "Archive" });
  await fileAndSave(store, archive, [toFile(1, "one"), toFile(2, "two")]);
  await store.setMailboxAside(archive.id);
  expect(store.mailboxes()).toEqual([]);
  expect(existsSync(join(fixture.directory, "Maildir", ".Archive"))).toBe(false);
  const [kept] = store.setAsideMailboxes();
  expect(kept).toMatchObject({ name: "Archive", messages: 2, toldAtMs: null });
  const folder = join(fixture.directory, kept?.path ?? "");
  later(15);
  await store.removeSetAside(14 * dayMs);
  expect(readdirSync(join(folder, "cur"))).toHaveLength(2);
  store.noteSetAsideTold();
  await store.removeSetAside(14 * dayMs);
  expect(existsSync(folder)).toBe(false);
  expect(store.setAsideMailboxes()).toEqual([]);
});

it("keeps each of two of one name, over a restart, until its own time has come", async () => {
  for (const text of ["first", "second"]) {
    const archive = addMailbox(store, { name: "Archive" });
    await fileAndSave(store, archive, [toFile(1, text)]);
    await store.setMailboxAside(archive.id);
    later(10);
  }
  store.noteSetAsideTold();
  await store.close();
  store = await fixture.open();
  await store.removeSetAside(14 * dayMs);
  expect(store.setAsideMailboxes()).toHaveLength(1);
  expect(readdirSync(join(fixture.directory, "gone"))).toHaveLength(1);
});

it("keeps nothing of an empty one", async () => {
  await store.setMailboxAside(addMailbox(store, { name: "Empty" }).id);
  expect(store.setAsideMailboxes()).toEqual([]);
  expect(existsSync(join(fixture.directory, "Maildir", ".Empty"))).toBe(false);
});
