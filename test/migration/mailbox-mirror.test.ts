/** The background and the clients pull the same mailbox at the same time. */
import { readdirSync, renameSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/errors.ts";
import { Crowded } from "../../src/legacy/refusal.ts";
import { silentLogger } from "../../src/log.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, encodedMailboxName as name, uid } from "../../src/mail/ids.ts";
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

async function mirrorOf(options: Partial<FakeSourceOptions>, record = () => addMailbox(store)) {
  const source = createFakeSource({ messages, ...options });
  const mirror = await openMailboxMirror({
    store,
    source,
    logger: silentLogger,
    signal: closing.signal,
    record: record(),
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

  it("a client gets what came in for the background when he asked, and was cut off there", async () => {
    const asked = Promise.withResolvers<void>();
    const clientAsks = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const cut = Promise.withResolvers<void>();
    const clientHasBeenAnswered = Promise.withResolvers<void>();
    let calls = 0;
    const { mirror } = await mirrorOf({
      adjust: (lease) => ({
        ...lease,
        async fetchBodies(set, sink) {
          const call = calls++;
          if (call === 0) {
            asked.resolve();
            await clientAsks.promise;
            sink.begin(uid(7), 26);
            begun.resolve();
            await cut.promise;
          }
          if (call === 1) {
            clientAsks.resolve();
            await begun.promise;
          }
          if (call === 2) await clientHasBeenAnswered.promise;
          await lease.fetchBodies(set, sink);
          if (call !== 1) return;
          cut.reject(new MailError("UNAVAILABLE", "connection lost"));
          await new Promise(setImmediate);
          setImmediate(clientHasBeenAnswered.resolve);
        },
      }),
    });
    await mirror.sync(signal);
    const pulled = pullAll(mirror);
    await asked.promise;
    expect((await mirror.content(uid(7), signal))?.sizeBytes).toBe(messages.get(7)?.length);
    await pulled;
    expect(mirror.state.table.fullCount).toBe(3);
  });

  it("puts a message aside that was asked for three times and never came", async () => {
    const { source, mirror } = await mirrorOf({ silent: new Set([7]) });
    await pullAll(mirror);
    expect([...mirror.quarantine.keys()]).toEqual([7]);
    expect(source.bodyFetches).toEqual(["background 3,7,9", "background 7", "background 7"]);
  });

  it("asks for a message under the UID of one that was put aside, in a mailbox that is another one now", async () => {
    const silent = new Set([7]);
    let validity = 1_275_660_208;
    const { mirror } = await mirrorOf({ silent, uidValidity: () => validity });
    await pullAll(mirror);
    expect([...mirror.quarantine.keys()]).toEqual([7]);
    silent.clear();
    validity++;
    await mirror.sync(signal);
    mirror.state.forgetProblem();
    await pullAll(mirror);
    expect(mirror.state.table.fullCount).toBe(3);
    expect(mirror.quarantine).toEqual(new Map());
  });

  it("writes down at once, and not one by one, which ones the server cannot give", async () => {
    const many = new Map(
      Array.from({ length: 200 }, (_, index) => [index + 1, `Subject: ${index}\r\n\r\ntext\r\n`]),
    );
    let writes = 0;
    const counting: AccountStore = Object.create(store, {
      writeSetting: {
        value(key: string, value: string) {
          if (key.startsWith("losses:")) writes++;
          store.writeSetting(key, value);
        },
      },
    });
    const source = createFakeSource({
      messages: many,
      beforeBody: async (uid) => {
        if (uid % 2 === 0) throw new MailError("UNAVAILABLE", "closed");
      },
    });
    const record = addMailbox(store);
    const options = { store: counting, source, logger: silentLogger, signal: closing.signal, record };
    const mirror = await openMailboxMirror(options);
    await pullAll(mirror);
    expect(mirror.state.table.fullCount).toBe(100);
    expect(mirror.quarantine.size).toBe(100);
    expect(writes).toBeLessThanOrEqual(2);
  });

  it("blames no message where the server gives nothing any more", async () => {
    const many = new Map(
      Array.from({ length: 200 }, (_, index) => [index + 1, `Subject: ${index}\r\n\r\ntext\r\n`]),
    );
    let given = 0;
    const { mirror } = await mirrorOf({
      messages: many,
      beforeBody: async () => {
        if (++given > 100) throw new MailError("UNAVAILABLE", "closed");
      },
    });
    await expect(pullAll(mirror)).rejects.toThrow("closed");
    expect(mirror.state.table.fullCount).toBe(100);
    expect(mirror.quarantine.size).toBeLessThan(30);
  });

  it("asks for it once more when somebody asks for all", async () => {
    const silent = new Set([7]);
    const { mirror } = await mirrorOf({ silent });
    await pullAll(mirror);
    silent.clear();
    mirror.retryNow();
    await pullAll(mirror);
    expect(mirror.quarantine.size).toBe(0);
    expect(mirror.state.table.fullCount).toBe(3);
  });
});

it("watches a mailbox that was never looked at before", async () => {
  let idles = 0;
  const { mirror } = await mirrorOf(
    {
      adjust: (lease) => ({
        ...lease,
        capabilities: new Set(["IDLE"]),
        watch: (until) => {
          idles++;
          return new Promise((resolve) => until.addEventListener("abort", () => resolve(), { once: true }));
        },
      }),
    },
    () =>
      store.addMailbox({ name: name("New"), separator: "/", attributes: [], subscribed: false, prefix: "" }),
  );
  const stop = mirror.watch({ standby: true });
  await expect.poll(() => idles).toBe(1);
  expect(mirror.state.table.uids).toEqual([3, 7, 9]);
  stop();
});

describe("a legacy server without UIDVALIDITY", () => {
  const unexamined = () =>
    store.addMailbox({ name: name("New"), separator: "/", attributes: [], subscribed: false, prefix: "" });

  it("whose UIDs name other messages later shows nobody another message's text", async () => {
    const changing = new Map(messages);
    const { mirror } = await mirrorOf({ messages: changing, uidValidity: () => 0 }, unexamined);
    await mirror.sync(signal);
    const before = mirror.state.record.uidValidity ?? 0;
    const events: string[] = [];
    mirror.subscribe(({ kind }) => events.push(kind));
    // The first is expunged, and all move up; as many as before, since another comes.
    changing
      .set(3, messages.get(7) ?? "")
      .set(7, messages.get(9) ?? "")
      .set(9, "Subject: ten\r\n\r\nanother\r\n");
    await expect(mirror.content(uid(3), signal)).rejects.toThrow("please reopen");
    expect(events[0]).toBe("gone");
    expect(mirror.state.record.uidValidity).toBeGreaterThan(before);
    expect((await mirror.content(uid(3), signal))?.sizeBytes).toBe(messages.get(7)?.length);
    await expect.poll(() => mirror.state.table.fullCount, { timeout: 20_000 }).toBe(1);
    expect(await mirror.pullTurn(1_000)).toBe("done");
    expect(mirror.state.table.fullCount).toBe(1);
  });

  it("is not believed where it had one before: what is here stays", async () => {
    let validity = 1_275_660_208;
    const { mirror } = await mirrorOf({ uidValidity: () => validity });
    await pullAll(mirror);
    validity = 0;
    await expect(mirror.sync(signal)).rejects.toThrow("does not tell a UIDVALIDITY");
    expect(mirror.state.table.fullCount).toBe(3);
    validity = 1_275_660_208;
    await mirror.sync(signal);
    expect(mirror.state.table.fullCount).toBe(3);
  });
});

describe("a bad moment", () => {
  it("a message whose FETCH breaks is asked for alone, and put aside; the others come", async () => {
    const { source, mirror } = await mirrorOf({
      beforeBody: async (each) => {
        if (each === 3) throw new MailError("UNAVAILABLE", "connection lost");
      },
    });
    await pullAll(mirror);
    expect(source.bodyFetches).toEqual([
      "background 3,7,9",
      "background 7,9",
      ...["background 3", "background 3"],
    ]);
    expect([...mirror.quarantine]).toEqual([[3, "the old server cannot give it: connection lost"]]);
    expect(mirror.state.table.fullCount).toBe(2);
    // Once more asked for by itself, and no other with it.
    mirror.retryNow();
    await pullAll(mirror);
    expect(source.bodyFetches.slice(4)).toEqual(["background 3"]);
    expect([...mirror.quarantine.keys()]).toEqual([3]);
  });

  it("a server that wants to be asked less blames no message", async () => {
    let isCrowded = true;
    const { mirror } = await mirrorOf({
      beforeBody: async () => {
        if (isCrowded) throw new Crowded("UNAVAILABLE", "Too many requests");
      },
    });
    await expect(mirror.pullTurn(60_000)).rejects.toThrow("Too many requests");
    expect(mirror.quarantine).toEqual(new Map());
    isCrowded = false;
    await pullAll(mirror);
    expect(mirror.state.table.fullCount).toBe(3);
  });

  it("a turn whose time is up when it gets its connection still brings something", async () => {
    const { mirror } = await mirrorOf({});
    expect(await mirror.pullTurn(0)).toBe("done");
    expect(mirror.state.table.fullCount).toBe(3);
  });

  it("a disk that refuses a spool leaves nothing waiting", async () => {
    const big = new Map([[5, `Subject: big\r\n\r\n${"x".repeat(2 << 20)}`]]);
    const { mirror } = await mirrorOf({ messages: big });
    const tmp = join(fixture.directory, "Maildir", "tmp");
    renameSync(tmp, `${tmp}-away`);
    await expect(mirror.pullTurn(60_000)).rejects.toThrow();
    renameSync(`${tmp}-away`, tmp);
    await pullAll(mirror);
    expect(mirror.state.table.fullCount).toBe(1);
    expect(readdirSync(tmp)).toEqual([]);
  });

  it("a damaged file is fetched once more", async () => {
    const { source, mirror } = await mirrorOf({});
    await pullAll(mirror);
    const cur = join(fixture.directory, "Maildir", "cur");
    truncateSync(join(cur, readdirSync(cur).find((name) => name.startsWith("0000000007"))!), 3);
    const content = await mirror.content(uid(7), signal);
    expect(String(await content!.read(0, content!.sizeBytes))).toBe(messages.get(7));
    expect(source.bodyFetches.at(-1)).toBe("interactive 7");
  });

  it("an older delta is not committed over a newer one", async () => {
    const there = new Map(messages);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    let isHeld = false;
    const { mirror } = await mirrorOf({
      messages: there,
      beforeList: async (priority) => {
        if (priority === "background" && isHeld) await gate;
      },
    });
    await mirror.sync(signal);
    isHeld = true;
    there.set(1000, "Subject: a\r\n\r\n");
    const background = mirror.pullTurn(60_000);
    await new Promise(setImmediate);
    there.delete(3);
    there.set(1001, "Subject: b\r\n\r\n");
    const client = mirror.sync(signal);
    await new Promise(setImmediate);
    open();
    await Promise.all([background, client]);
    expect(mirror.state.table.uids).toEqual([7, 9, 1000, 1001]);
  });

  it("no message of another mailbox of that name is taken for one of this", async () => {
    let validity = 1_275_660_208;
    const { mirror } = await mirrorOf({ uidValidity: () => validity });
    await mirror.sync(signal);
    const events: string[] = [];
    mirror.subscribe((event) => events.push(event.kind));
    validity = 1_275_660_209;
    await expect(mirror.content(uid(7), signal)).rejects.toThrow("changed");
    expect(events).toContain("gone");
    expect(mirror.state.record.uidValidity).toBe(validity);
  });

  it("an empty mailbox may have another UIDVALIDITY at each look", async () => {
    let validity = 100;
    const there = new Map(messages);
    const { mirror } = await mirrorOf({ messages: there, uidValidity: () => validity });
    await mirror.sync(signal);
    const events: string[] = [];
    mirror.subscribe((event) => events.push(event.kind));
    there.clear();
    for (validity of [101, 102, 103]) await mirror.sync(signal);
    expect(events).toEqual(["expunged"]);
    // Its clients have to know before they see a UID of the new one.
    there.set(1, "Subject: one\r\n\r\n");
    await mirror.sync(signal);
    expect(events).toEqual(["expunged", "gone", "arrived"]);
    expect(mirror.state.record.uidValidity).toBe(103);
    expect(mirror.state.problem).toBeUndefined();
  });

  it("a file that comes after its message was expunged is taken away", async () => {
    const there = new Map(messages);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { mirror } = await mirrorOf({
      messages: there,
      beforeBody: async (each) => {
        if (each === 7) await gate;
      },
    });
    await mirror.sync(signal);
    const pulled = mirror.pullTurn(60_000);
    await new Promise(setImmediate);
    there.delete(3);
    await mirror.sync(signal);
    open();
    await pulled;
    const cur = join(fixture.directory, "Maildir", "cur");
    await expect.poll(() => readdirSync(cur).map((name) => Number(name.slice(0, 10)))).toEqual([7, 9]);
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

it("flags that could not be saved are told again by the next delta", async () => {
  let modseq = 100n;
  let flags = flagsOf([]);
  let isFull = false;
  const disk: AccountStore = {
    ...store,
    saveMessages(mailbox, saved) {
      if (isFull) throw new MailError("UNAVAILABLE", "no space left");
      return store.saveMessages(mailbox, saved);
    },
  };
  const source = createFakeSource({
    messages,
    adjust: (lease) => ({
      ...lease,
      examined: { ...lease.examined, highestModSeq: modSeq(modseq) },
      examineAgain: async () => ({ ...(await lease.examineAgain()), highestModSeq: modSeq(modseq) }),
      fetchMeta: (uids, onMeta) => lease.fetchMeta(uids, (meta) => onMeta({ ...meta, modSeq: modSeq(100n) })),
      async fetchFlags(_uids, onFlags, since) {
        if (since === undefined || since < modseq) onFlags({ uid: uid(7), flags, modSeq: modSeq(modseq) });
      },
    }),
  });
  const options = { store: disk, source, logger: silentLogger, signal: closing.signal };
  const mirror = await openMailboxMirror({ ...options, record: addMailbox(store) });
  await mirror.sync(signal);
  await mirror.metadata([3, 7, 9].map(uid));
  await mirror.sync(signal);
  modseq = 200n;
  flags = flagsOf(["\\Seen"]);
  isFull = true;
  await expect(mirror.sync(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  isFull = false;
  await mirror.sync(signal);
  expect(mirror.state.table.get(uid(7))).toMatchObject({ flags: ["\\Seen"] });
  expect(mirror.state.record.highestModSeq).toBe(200n);
});

describe("a client that knows the flags from the legacy server itself", () => {
  const flagged = (one: number, at: bigint) => ({
    uid: uid(one),
    flags: flagsOf(["\\Flagged"]),
    internalDate: { epochSeconds: 1_400_000_000, zoneMinutes: 0 },
    sizeBytes: 30,
    modSeq: modSeq(at),
  });
  let highest: bigint;
  let changed: ReturnType<typeof flagged>[];
  async function selectedAt(at: bigint) {
    [highest, changed] = [at, []];
    const { mirror } = await mirrorOf({
      adjust: (lease) => {
        const examinedNow = () => ({ ...lease.examined, highestModSeq: modSeq(highest) });
        return {
          ...lease,
          examined: examinedNow(),
          examineAgain: async () => examinedNow(),
          fetchFlags: async (_set, onFlags) => changed.forEach(onFlags),
          fetchMeta: async (_set, onMeta) => changed.forEach(onMeta),
        };
      },
    });
    await mirror.sync(signal);
    const heard: number[] = [];
    mirror.subscribe((event) => {
      if (event.kind === "flags") heard.push(...event.uids);
    });
    return { mirror, heard };
  }

  it("hears of a change though only the message's UID was known here", async () => {
    const { mirror, heard } = await selectedAt(10n);
    [highest, changed] = [11n, [flagged(7, 11n)]];
    await mirror.sync(signal);
    expect(heard).toEqual([7]);
    expect(mirror.state.table.get(uid(7))).toMatchObject({ presence: "meta", modSeq: 11n });
  });

  it("hears of it though the metadata came ahead of the delta", async () => {
    const { mirror, heard } = await selectedAt(10n);
    changed = [flagged(7, 11n)];
    await mirror.metadata([uid(7)]);
    highest = 11n;
    await mirror.sync(signal);
    expect(heard).toEqual([7]);
  });
});

it("what vanished while the UIDs were listed has a MODSEQ that nobody knew before", async () => {
  const few = new Map(messages);
  let highest = 10n;
  const { mirror } = await mirrorOf({
    messages: few,
    adjust: (lease) => {
      const examinedNow = () => ({ ...lease.examined, exists: few.size, highestModSeq: modSeq(highest) });
      return {
        ...lease,
        examined: examinedNow(),
        examineAgain: async () => examinedNow(),
        async listUids() {
          if (highest === 11n) {
            few.delete(7);
            highest = 12n;
          }
          return lease.listUids();
        },
      };
    },
  });
  await mirror.sync(signal);
  few.set(12, "Subject: twelve\r\n\r\n");
  highest = 11n;
  await mirror.sync(signal);
  // At the legacy server itself a client has seen message 7 at 11.
  expect(store.expunges.since(mirror.state.record.id, modSeq(11n))).toEqual([7]);
});
