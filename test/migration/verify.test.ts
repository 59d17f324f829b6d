import { afterEach, beforeEach, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { uid } from "../../src/mail/ids.ts";
import { openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import { verifyDifferences, verifyMailboxes } from "../../src/migration/verify.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, type StoreFixture } from "../store/fixture.ts";
import { createFakeSource } from "./fake-source.ts";

const { signal } = new AbortController();
let fixture: StoreFixture;
let store: AccountStore;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

it("a UIDNEXT below the legacy server's is a difference, and one above it is none", async () => {
  const messages = new Map([1, 2, 3].map((one) => [one, `Subject: ${one}\r\n\r\ntext\r\n`] as const));
  let uidNext = uid(1000);
  const record = addMailbox(store);
  const { name, separator, attributes } = record;
  const fake = createFakeSource({
    messages,
    adjust: (lease) => ({ ...lease, examined: { ...lease.examined, uidNext } }),
  });
  const listing = {
    namespaces: { personal: null, otherUsers: null, shared: null },
    mailboxes: [{ name, separator, attributes }],
    subscriptions: [],
  };
  const source: typeof fake = {
    ...fake,
    use: (options, work) =>
      fake.useMailbox(name, options, (lease) => work({ ...lease, listing: async () => listing })),
  };
  const mirror = await openMailboxMirror({ store, source, logger: silentLogger, signal, record });
  await mirror.sync(signal);
  while ((await mirror.pullTurn(60_000)) === "more");
  const options = { store, source, signal, resync: async () => undefined };
  expect(await verifyMailboxes(options)).toMatchObject({ equal: true });
  // Three came there and are gone again; nobody has looked.
  uidNext = uid(1003);
  const verdict = await verifyMailboxes(options);
  expect(verdict.mailboxes[0]?.differences).toEqual([{ kind: "uidnext", detail: "1003 there, 1000 here" }]);
  await mirror.sync(signal);
  expect(await verifyDifferences(verdict, options)).toMatchObject({ equal: true });
  uidNext = uid(1001);
  expect(await verifyMailboxes(options)).toMatchObject({ equal: true });
});
