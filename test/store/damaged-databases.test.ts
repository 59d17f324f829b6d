import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createDatabaseTemplate } from "../../src/store/database-template.ts";
import { addMailbox, createFixture, metaOf, type StoreFixture, toFile } from "./fixture.ts";

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
