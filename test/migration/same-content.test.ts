/** Two mailboxes that have the same messages are pulled at the same time. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { type MailboxMirror, openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, type StoreFixture } from "../store/fixture.ts";
import { createFakeSource } from "./fake-source.ts";

const messages = new Map([1, 2, 3].map((uid) => [uid, `Subject: ${uid}\r\n\r\ntext\r\n`] as const));

let fixture: StoreFixture;
let store: AccountStore;
const { signal } = new AbortController();

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

async function pullAll(mirror: MailboxMirror): Promise<void> {
  while ((await mirror.pullTurn(60_000).catch(() => "more")) === "more");
}

async function twoMailboxes(beforeBody: () => Promise<void>) {
  const onItsWay = new Set<string>();
  const source = createFakeSource({
    messages,
    beforeBody,
    adjust: (lease) => ({
      ...lease,
      fetchMeta: (uids, onMeta) =>
        lease.fetchMeta(uids, (meta) => onMeta({ ...meta, emailId: `M${meta.uid}` })),
    }),
  });
  const open = (name: string): Promise<MailboxMirror> =>
    openMailboxMirror({
      store,
      source,
      logger: silentLogger,
      signal,
      record: addMailbox(store, { name }),
      onItsWay,
    });
  return { source, mailboxes: [await open("INBOX"), await open("All Mail")] };
}

it("what is on its way for one is left to that, and taken from it", async () => {
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const { source, mailboxes } = await twoMailboxes(() => mayGoOn);
  const pulls = Promise.all(mailboxes.map(pullAll));
  await expect.poll(() => mailboxes.map(({ state }) => state.table.knownBytes > 0)).toEqual([true, true]);
  goOn();
  await pulls;
  expect(source.bodyFetches).toEqual(["background 1,2,3"]);
  expect(mailboxes.map(({ state, quarantine }) => [state.table.fullCount, quarantine.size])).toEqual([
    [3, 0],
    [3, 0],
  ]);
});

it("what the one did not get, the other asks for", async () => {
  let losses = 2;
  const { mailboxes } = await twoMailboxes(async () => {
    if (losses-- > 0) throw new Error("connection lost");
  });
  await Promise.all(mailboxes.map(pullAll));
  expect(mailboxes.map(({ state, quarantine }) => [state.table.fullCount, quarantine.size])).toEqual([
    [3, 0],
    [3, 0],
  ]);
});
