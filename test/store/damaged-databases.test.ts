import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { uid } from "../../src/mail/ids.ts";
import { noteClosed } from "../../src/store/database-damage.ts";
import { createDatabaseTemplate } from "../../src/store/database-template.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, fileAndSave, metaOf, type StoreFixture, toFile } from "./fixture.ts";

let fixture: StoreFixture;
beforeEach(() => {
  fixture = createFixture();
});
afterEach(() => fixture.remove());

const pathOf = (name: string): string => join(fixture.directory, name);

/** 400 messages, of which the first has its bytes here. */
async function fillStore(durable: boolean): Promise<void> {
  const store = await fixture.open({ durable });
  const inbox = addMailbox(store);
  store.saveMessages(
    inbox,
    Array.from({ length: 400 }, (_, at) => ({ presence: "meta", ...metaOf(at + 1) })),
  );
  await store.fileMessages(inbox, [toFile(1, "Subject: one\r\n\r\none\r\n")]);
  await store.close();
}

function removeDatabases(...names: string[]): void {
  for (const name of names)
    for (const suffix of ["", "-wal", "-shm"]) rmSync(pathOf(`${name}${suffix}`), { force: true });
}

it.each(["inside its pages", "all over", "cut off"])(
  "makes an index that is damaged anew (%s)",
  async (how) => {
    await fillStore(true);
    const index = pathOf("index.db");
    const bytes = readFileSync(index);
    if (how === "inside its pages") {
      for (let at = 4096; at < bytes.length; at += 8192) bytes.fill(0xa5, at, at + 512);
      writeFileSync(index, bytes);
    } else if (how === "all over") writeFileSync(index, Buffer.alloc(bytes.length, 0xa5));
    else truncateSync(index, 6000);
    const store = await fixture.open({ durable: true });
    const [inbox] = store.mailboxes();
    const messages = inbox && (await store.loadMessages(inbox));
    expect(messages).toMatchObject([{ presence: "full", ...metaOf(1), sizeBytes: expect.any(Number) }]);
    await store.close();
  },
);

/** Larger than what an opening reads. */
async function fillLargeStore(): Promise<void> {
  const store = await fixture.open({ durable: true });
  const inbox = addMailbox(store);
  const uids = Array.from({ length: 150 }, (_, at) => at + 1);
  await fileAndSave(
    store,
    inbox,
    uids.map((one) => toFile(one, `Subject: ${one}\r\n\r\ntext\r\n`)),
  );
  store.saveHeaders(inbox, new Map(uids.map((one) => [uid(one), Buffer.alloc(70_000, one)])));
  await store.close();
  expect(statSync(pathOf("index.db")).size).toBeGreaterThan(9 << 20);
}

function damageIndex(when: (at: number) => boolean): void {
  const bytes = readFileSync(pathOf("index.db"));
  for (let at = 4096; at < bytes.length; at += 4096) if (when(at)) bytes.fill(0xa5, at, at + 512);
  writeFileSync(pathOf("index.db"), bytes);
}

async function uidsOf(store: AccountStore): Promise<readonly number[]> {
  const [inbox] = store.mailboxes();
  const messages = inbox ? await store.loadMessages(inbox) : [];
  return messages.filter(({ presence }) => presence === "full").map((one) => one.uid);
}

it("notices that somebody has damaged a large index while it was closed", async () => {
  await fillLargeStore();
  damageIndex((at) => at % 8192 !== 0);
  const onTrouble = vi.fn();
  const store = await fixture.open({ durable: true, onTrouble });
  expect(await uidsOf(store)).toHaveLength(150);
  expect(onTrouble).not.toHaveBeenCalled();
  await store.close();
});

it("tells once of damage that is met in use, and is whole when it is opened anew", async () => {
  await fillLargeStore();
  damageIndex((at) => at > 1 << 20);
  // As a disk does it: nobody can see that the file was changed.
  noteClosed(fixture.directory, silentLogger);
  const onTrouble = vi.fn();
  let store = await fixture.open({ durable: true, onTrouble });
  const [inbox] = store.mailboxes();
  if (!inbox) throw new Error("no INBOX");
  for (const one of [99, 100]) expect(() => store.header(inbox, uid(one))).toThrow("cannot be used");
  expect(onTrouble).toHaveBeenCalledTimes(1);
  await store.close();
  store = await fixture.open({ durable: true });
  expect(await uidsOf(store)).toHaveLength(150);
  await store.close();
});

it("is made anew at once where an opening meets the damage", async () => {
  await fillLargeStore();
  damageIndex(() => true);
  noteClosed(fixture.directory, silentLogger);
  const store = await fixture.open({ durable: true });
  expect(await uidsOf(store)).toHaveLength(150);
  await store.close();
});

it("serves no header with garbage in it", async () => {
  await fillLargeStore();
  const bytes = readFileSync(pathOf("index.db"));
  const at = bytes.indexOf(Buffer.alloc(3_000, 77));
  bytes.fill(0xa5, at + 1_000, at + 1_010);
  writeFileSync(pathOf("index.db"), bytes);
  const onTrouble = vi.fn();
  let store = await fixture.open({ durable: true, onTrouble });
  const [inbox] = store.mailboxes();
  if (!inbox) throw new Error("no INBOX");
  expect(store.header(inbox, uid(76))?.length).toBe(70_000);
  for (let attempt = 0; attempt < 2; attempt++)
    expect(() => store.header(inbox, uid(77))).toThrow("cannot be used");
  expect(onTrouble).toHaveBeenCalledTimes(1);
  await store.close();
  store = await fixture.open({ durable: true });
  expect(store.header(inbox, uid(77))).toBeUndefined();
  expect(await uidsOf(store)).toHaveLength(150);
  await store.close();
});

it("begins anew where the legacy server has it all, and gives no mailbox the rows of another", async () => {
  await fillStore(false);
  removeDatabases("sidecar.db", "index.db");
  const store = await fixture.open();
  expect(store.mailboxes()).toEqual([]);
  const other = addMailbox(store, { name: "Other" });
  expect(await store.loadMessages(other)).toEqual([]);
  await store.close();
  const aside = readdirSync(fixture.directory).filter((name) => name.startsWith("Maildir.without-sidecar-"));
  expect(aside).toHaveLength(1);
  expect(readdirSync(pathOf(`${aside[0]}/cur`))).toHaveLength(1);
});

it("serves nothing of a local account of which nothing is there", async () => {
  await expect(fixture.open({ durable: true, mustExist: true })).rejects.toMatchObject({
    code: "UNAVAILABLE",
  });
  expect(readdirSync(fixture.directory)).toEqual([]);
});

it("makes databases where the temporary folder cannot be used", () => {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = pathOf("absent");
  try {
    const directory = pathOf("account");
    mkdirSync(directory);
    createDatabaseTemplate((path) => writeFileSync(path, "made")).copyTo(join(directory, "some.db"), false);
    expect(readdirSync(directory)).toEqual(["some.db"]);
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
});
