/** A message whose bytes are here as another one's is linked to that, and only where it is certain. */
import { readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { uid } from "../../src/mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../../src/store/store.ts";
import { addMailbox, createFixture, metaOf, type StoreFixture } from "./fixture.ts";

const bytes = Buffer.from("Subject: one\r\n\r\ntext\nwith a bare LF\r\n");
const sizeBytes = bytes.length;

let fixture: StoreFixture;
let store: AccountStore;
let first: MailboxRecord;
let second: MailboxRecord;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
  first = addMailbox(store);
  second = addMailbox(store, { name: "Archive" });
  const meta = metaOf(7, { sizeBytes, emailId: "Mabc" });
  store.saveMessages(first, [{ presence: "meta", ...meta }]);
  await store.fileMessages(first, [{ meta, bytes }]);
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

const pathOf = (folder: string, name: string): string =>
  join(fixture.directory, "Maildir", folder, "cur", name);

it("a link has its own name and flags, and stays when the other goes", async () => {
  const { internalDate } = metaOf(7);
  const files = await store.fileCopies(second, [metaOf(3, { sizeBytes, internalDate, emailId: "Mabc" })]);
  const name = files.get(uid(3)) ?? "";
  expect(name).toMatch(
    new RegExp(`^0000000003\\.M2V\\d+P0\\.mailferry,S=${sizeBytes},W=${sizeBytes + 1}:2,S$`),
  );
  expect(statSync(pathOf(".Archive", name)).nlink).toBe(2);
  await store.removeMessages(first, [uid(7)]);
  expect(readFileSync(pathOf(".Archive", name))).toEqual(bytes);
});

it("one with another date is a copy that has it", async () => {
  const internalDate = { epochSeconds: 1_000_000_000, zoneMinutes: 60 };
  const files = await store.fileCopies(second, [metaOf(3, { sizeBytes, internalDate, emailId: "Mabc" })]);
  const path = pathOf(".Archive", files.get(uid(3)) ?? "");
  expect([statSync(path).nlink, statSync(path).mtimeMs]).toEqual([1, 1_000_000_000_000]);
  expect(readFileSync(path)).toEqual(bytes);
  expect(readdirSync(join(fixture.directory, "Maildir", ".Archive", "tmp"))).toEqual([]);
});

it("another id, another size, and a file that is not what was written are not believed", async () => {
  const others = [
    metaOf(1, { sizeBytes, emailId: "Mother" }),
    metaOf(2, { sizeBytes: sizeBytes + 1, emailId: "Mabc" }),
    metaOf(3, { sizeBytes }),
  ];
  expect(await store.fileCopies(second, others)).toEqual(new Map());
  const [name = ""] = readdirSync(join(fixture.directory, "Maildir", "cur"));
  truncateSync(pathOf("", name), 5);
  const wanted = metaOf(4, { sizeBytes, emailId: "Mabc" });
  expect(await store.fileCopies(second, [wanted])).toEqual(new Map());
});
