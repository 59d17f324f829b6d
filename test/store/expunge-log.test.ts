import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { modSeq, type Uid, uid, uidValidity } from "../../src/mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../../src/store/store.ts";
import { addMailbox, createFixture, metaOf, type StoreFixture } from "./fixture.ts";

let fixture: StoreFixture;
let store: AccountStore;
let inbox: MailboxRecord;
const big = 1n << 62n;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
  inbox = addMailbox(store);
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

const uids = (...numbers: number[]): Uid[] => numbers.map(uid);

it("tells what was expunged since, from where it begins", async () => {
  const { expunges } = store;
  expect(expunges.since(inbox.id, modSeq(5n))).toBeUndefined();
  expunges.start(inbox.id, modSeq(big));
  expunges.add(inbox.id, uids(7, 3), modSeq(big + 1n));
  expunges.add(inbox.id, uids(9), modSeq(big + 2n));
  await store.close();
  store = await fixture.open();
  expect(store.expunges.since(inbox.id, modSeq(big - 1n))).toBeUndefined();
  expect(store.expunges.since(inbox.id, modSeq(big))).toEqual([3, 7, 9]);
  expect(store.expunges.since(inbox.id, modSeq(big + 1n))).toEqual([9]);
  expect(store.expunges.highest(inbox.id)).toBe(big + 2n);
});

it("forgets the older half when it is long, and knows that it has", () => {
  const { expunges } = store;
  expunges.start(inbox.id, modSeq(1n));
  for (let at = 1; at <= 6; at++) {
    const first = at * 10_000;
    const batch = Array.from({ length: 10_000 }, (_, index) => uid(first + index));
    expunges.add(inbox.id, batch, modSeq(BigInt(at * 10)));
  }
  expect(expunges.since(inbox.id, modSeq(29n))).toBeUndefined();
  expect(expunges.since(inbox.id, modSeq(30n))).toHaveLength(30_000);
});

it("goes with its mailbox, and with its UIDVALIDITY", async () => {
  store.expunges.start(inbox.id, modSeq(1n));
  store.expunges.add(inbox.id, uids(7), modSeq(2n));
  await store.resetMailbox(inbox.id, uidValidity(77));
  expect(store.expunges.begin(inbox.id)).toBeUndefined();
  store.expunges.start(inbox.id, modSeq(1n));
  await store.dropMailbox(inbox.id);
  expect(store.expunges.begin(inbox.id)).toBeUndefined();
});

it("is added to a sidecar of the version before", async () => {
  store.saveMessages(inbox, [{ presence: "meta", ...metaOf(1) }]);
  await store.close();
  const path = join(fixture.directory, "sidecar.db");
  const database = new DatabaseSync(path);
  database.exec(
    "DROP TABLE expunged; DROP TABLE expunged_from; DROP TABLE maildrop; DROP TABLE maildrop_mailboxes; PRAGMA user_version = 1;",
  );
  database.close();
  store = await fixture.open();
  expect(store.mailboxes()).toHaveLength(1);
  store.expunges.start(inbox.id, modSeq(4n));
  expect(store.expunges.since(inbox.id, modSeq(4n))).toEqual([]);
});
