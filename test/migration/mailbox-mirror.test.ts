/** The background and the clients pull the same mailbox at the same time. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { uid } from "../../src/mail/ids.ts";
import { type MailboxMirror, openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, type StoreFixture } from "../store/fixture.ts";
import { createFakeSource, type FakeSourceOptions } from "./fake-source.ts";

const messages = new Map([
  [3, "Subject: three\r\n\r\nthird\r\n"],
  [7, "Subject: seven\r\n\r\nseventh\r\n"],
  [9, "Subject: nine\r\n\r\nninth\r\n"],
]);

let fixture: StoreFixture;
let store: AccountStore;
const closing = new AbortController();
const { signal } = new AbortController();

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

async function mirrorOf(options: Omit<FakeSourceOptions, "messages">) {
  const source = createFakeSource({ messages, ...options });
  const mirror = await openMailboxMirror({
    store,
    source,
    logger: silentLogger,
    signal: closing.signal,
    record: addMailbox(store),
  });
  return { source, mirror };
}

async function pullAll(mirror: MailboxMirror): Promise<number> {
  for (let turns = 1; ; turns++) if ((await mirror.pullTurn(60_000)) === "done") return turns;
}

describe("pullTurn", () => {
  it("waits for what a client is downloading, and does not give it up", async () => {
    const { promise: clientMayGoOn, resolve: letClientGoOn } = Promise.withResolvers<void>();
    const { source, mirror } = await mirrorOf({
      beforeBody: (_uid, priority) => (priority === "interactive" ? clientMayGoOn : Promise.resolve()),
    });
    await mirror.sync(signal);
    const wanted = mirror.content(uid(7), signal);
    const pulled = pullAll(mirror);
    await expect.poll(() => source.bodyFetches).toContain("background 3,9");
    letClientGoOn();
    expect((await wanted)?.sizeBytes).toBe(messages.get(7)?.length);
    await pulled;
    expect(mirror.quarantine).toEqual(new Map());
    expect(mirror.state.table.fullCount).toBe(3);
    expect(source.bodyFetches.toSorted()).toEqual(["background 3,9", "interactive 7"]);
  });

  it("asks itself for what a client's lost connection left behind", async () => {
    const { promise: clientLoses, reject: loseClient } = Promise.withResolvers<void>();
    const { source, mirror } = await mirrorOf({
      beforeBody: (_uid, priority) => (priority === "interactive" ? clientLoses : Promise.resolve()),
    });
    await mirror.sync(signal);
    const wanted = mirror.content(uid(7), signal);
    const pulled = pullAll(mirror);
    await expect.poll(() => source.bodyFetches).toContain("background 3,9");
    loseClient(new Error("connection lost"));
    await expect(wanted).rejects.toThrow("connection lost");
    await pulled;
    expect(mirror.state.table.fullCount).toBe(3);
    expect(source.bodyFetches).toContain("background 7");
  });

  it("puts a message aside that was asked for three times and never came", async () => {
    const { source, mirror } = await mirrorOf({ silent: new Set([7]) });
    await pullAll(mirror);
    expect([...mirror.quarantine.keys()]).toEqual([7]);
    expect(source.bodyFetches).toEqual(["background 3,7,9", "background 7", "background 7"]);
  });
});

describe("a message that is expunged on the legacy server", () => {
  it("leaves the disk and stays away when the account is opened again", async () => {
    const there = new Map(messages);
    const source = createFakeSource({ messages: there });
    const record = addMailbox(store);
    const options = { store, source, logger: silentLogger, signal: closing.signal };
    const mirror = await openMailboxMirror({ ...options, record });
    await pullAll(mirror);
    there.delete(7);
    await mirror.sync(signal);
    await expect.poll(() => readdirSync(join(fixture.directory, "Maildir", "cur"))).toHaveLength(2);
    await store.close();
    store = await fixture.open();
    const reopened = await openMailboxMirror({ ...options, store, record: store.mailboxes()[0]! });
    expect(reopened.state.table.uids).toEqual([3, 9]);
    expect(reopened.state.listed).toBe(true);
  });
});
