/** Flags of a mailbox of which nothing else is here: one FETCH, and everybody who wants some of them. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/errors.ts";
import type { MailboxLease } from "../../src/legacy/source.ts";
import { silentLogger } from "../../src/log.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, type Uid, uid } from "../../src/mail/ids.ts";
import { flagsKnown } from "../../src/migration/early-flags.ts";
import { openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, metaOf, type StoreFixture } from "../store/fixture.ts";
import { createFakeSource, type FakeSourceOptions } from "./fake-source.ts";

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

const uids = (...numbers: number[]): Uid[] => numbers.map(uid);

/** A mailbox of messages 1 to `count`, listed and no more; flags of those at `gates` are held back. */
async function listed(count: number, options: Partial<FakeSourceOptions> = {}) {
  const messages = new Map(Array.from({ length: count }, (_, index) => [index + 1, "Subject: x\r\n\r\n"]));
  const flags = new Map<number, readonly string[]>();
  const gates = new Map<number, PromiseWithResolvers<void>>();
  const holdAt = (each: number): PromiseWithResolvers<void> => {
    const gate = Promise.withResolvers<void>();
    gates.set(each, gate);
    return gate;
  };
  const source = createFakeSource({
    messages,
    flagsOf: (each) => flags.get(each) ?? [],
    beforeFlags: (each) => gates.get(each)?.promise ?? Promise.resolve(),
    ...options,
  });
  const mirror = await openMailboxMirror({
    store,
    source,
    logger: silentLogger,
    signal: closing.signal,
    record: addMailbox(store),
  });
  await mirror.sync(signal);
  const heard: number[] = [];
  mirror.subscribe((event) => {
    if (event.kind === "flags") heard.push(...event.uids);
  });
  const known = (each: number) => flagsKnown(mirror.state, uid(each));
  return { mirror, source, messages, flags, holdAt, heard, known, all: mirror.state.table.uids };
}

/** Settled by now, when everything that could go on has. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  return settled;
}

/** The lease of a server with MODSEQs, on which HIGHESTMODSEQ is what `highest` says. */
const withModSeqs =
  (highest: () => bigint) =>
  (lease: MailboxLease): MailboxLease => {
    const examinedNow = () => ({ ...lease.examined, highestModSeq: modSeq(highest()) });
    return { ...lease, examined: examinedNow(), examineAgain: async () => examinedNow() };
  };

describe("flags", () => {
  it("are asked for by one FETCH over gaps, and kept", async () => {
    const { mirror, source, flags, known, messages } = await listed(600);
    flags.set(2, ["\\Seen"]);
    messages.delete(3);
    await mirror.sync(signal);
    const all = mirror.state.table.uids;
    await mirror.flags(all);
    await mirror.flags(all);
    expect(source.fetches).toEqual(["FLAGS 1:600"]);
    expect([known(1), known(2), known(3)]).toEqual([[], ["\\Seen"], undefined]);
    expect(mirror.state.table.remoteCount).toBe(599);
  });

  it("are passed on while they come, to all who wait", async () => {
    const { mirror, source, all, holdAt } = await listed(600);
    const gate = holdAt(300);
    const whole = mirror.flags(all);
    const first = mirror.flags(all.slice(0, 200));
    const second = mirror.flags(all.slice(200, 400));
    await first;
    expect(await isSettled(second)).toBe(false);
    // Whoever comes later waits for the same FETCH, or for nothing.
    await mirror.flags(all.slice(100, 250));
    const late = mirror.flags(all.slice(350, 360));
    expect(await isSettled(late)).toBe(false);
    gate.resolve();
    await Promise.all([whole, second, late]);
    expect(source.fetches).toEqual(["FLAGS 1:600"]);
  });

  it("of one page are asked for alone; who comes for more gets all", async () => {
    const { mirror, source, holdAt } = await listed(1_000);
    const gate = holdAt(995);
    const page = mirror.flags(uids(991, 992, 993, 994, 995));
    const rest = mirror.flags(uids(1, 2, 995, 996));
    expect(await isSettled(page)).toBe(false);
    gate.resolve();
    await Promise.all([page, rest]);
    expect(source.fetches).toEqual(["FLAGS 991:995", "FLAGS 1:990,996:1000"]);
  });

  it("of what was expunged meanwhile are not waited for longer than the FETCH", async () => {
    const { mirror, messages, all, known, holdAt } = await listed(600);
    const gate = holdAt(500);
    const wanted = mirror.flags(all);
    const ofOne = mirror.flags(uids(500));
    messages.delete(500);
    expect(await isSettled(ofOne)).toBe(false);
    gate.resolve();
    await Promise.all([wanted, ofOne]);
    expect([known(499), known(500), known(501)]).toEqual([[], undefined, []]);
  });

  it("that are refused are missing for who wants that message, and asked for again by themselves", async () => {
    const { mirror, source, all, known, holdAt } = await listed(600);
    const gate = holdAt(300);
    const wanted = mirror.flags(all);
    const others = [mirror.flags(all.slice(500)), mirror.flags(all.slice(0, 100))];
    gate.reject(new MailError("UNAVAILABLE", "connection lost"));
    await expect(wanted).rejects.toMatchObject({ code: "SERVERBUG", messages: new Set([300]) });
    await Promise.all(others);
    expect([known(299), known(300), known(301)]).toEqual([[], undefined, []]);
    holdAt(300).resolve();
    mirror.retryNow();
    await mirror.flags(all);
    expect(source.fetches).toEqual(["FLAGS 1:600", "FLAGS 301:600", "FLAGS 300", "FLAGS 300", "FLAGS 300"]);
  });

  it("are not asked for where the metadata are here", async () => {
    const { mirror, source, all } = await listed(3);
    await mirror.metadata(all);
    await mirror.flags(all);
    expect(source.fetches).toEqual(["META 1:3"]);
    expect(mirror.state.early.isEmpty).toBe(true);
  });
});

describe("flags that were told", () => {
  it("leave when the metadata come, which are announced where they are others", async () => {
    const { mirror, flags, all, heard, known } = await listed(600);
    flags.set(7, ["\\Seen"]);
    await mirror.flags(all);
    flags.set(7, ["\\Seen", "\\Flagged"]);
    await mirror.metadata(all);
    expect(heard).toEqual([7]);
    expect(known(7)).toEqual(["\\Flagged", "\\Seen"]);
    expect(mirror.state.early.isEmpty).toBe(true);
  });

  it("leave with their message", async () => {
    const { mirror, messages, all } = await listed(600);
    await mirror.flags(all);
    messages.delete(7);
    await mirror.sync(signal);
    expect([mirror.state.early.get(uid(7)), mirror.state.early.get(uid(8))]).toEqual([undefined, []]);
  });

  it("are others under a MODSEQ of their own, where MODSEQs are counted here", async () => {
    const { mirror, flags, all, heard } = await listed(600);
    mirror.state.countModSeqs(mirror.state.record.uidValidity!);
    await mirror.flags(all);
    const before = mirror.state.record.highestModSeq;
    flags.set(7, ["\\Seen"]);
    await mirror.metadata(all);
    expect(heard).toEqual([7]);
    expect(mirror.state.record.highestModSeq).toBe(before + 1n);
    expect(mirror.state.table.get(uid(7))).toMatchObject({ flags: ["\\Seen"], modSeq: before + 1n });
    expect(mirror.state.table.get(uid(8))).toMatchObject({ modSeq: before });
  });

  it("are looked at again by the next delta, though nothing else is known", async () => {
    const { mirror, source, flags, all, heard, known } = await listed(600);
    await mirror.sync(signal);
    expect(source.fetches).toEqual([]);
    await mirror.flags(all);
    flags.set(7, ["\\Seen"]);
    await mirror.sync(signal);
    expect(heard).toEqual([7]);
    expect(known(7)).toEqual(["\\Seen"]);
  });

  it("are looked at again when HIGHESTMODSEQ is known: nothing up to it will be told later", async () => {
    let highest: bigint | undefined;
    const { mirror, flags, all, heard } = await listed(600, {
      adjust: (lease) => (highest === undefined ? lease : withModSeqs(() => highest ?? 0n)(lease)),
    });
    await mirror.flags(all);
    flags.set(7, ["\\Seen"]);
    highest = 40n;
    await mirror.sync(signal);
    expect(heard).toEqual([7]);
    expect(mirror.state.record.highestModSeq).toBe(40n);
  });
});

describe("of two answers", () => {
  it("the delta's stands, though the FETCH that began before it is read later", async () => {
    const { mirror, flags, all, known, heard, holdAt } = await listed(600);
    const gate = holdAt(300);
    const wanted = mirror.flags(all);
    await mirror.flags(uids(1));
    mirror.state.commitFlags([{ uid: uid(400), flags: flagsOf(["\\Flagged"]), modSeq: modSeq(0n) }]);
    flags.set(400, ["old"]);
    gate.resolve();
    await wanted;
    expect(known(400)).toEqual(["\\Flagged"]);
    expect(heard).toEqual([]);
    // It is newer than what a FETCH of metadata brings that was under way, too.
    mirror.state.commitMeta(mirror.state.record, [metaOf(400, { flags: flagsOf(["old"]) })]);
    expect(known(400)).toEqual(["\\Flagged"]);
  });

  it("a change is told to those who were told the flags before", async () => {
    const { mirror, all, known, heard } = await listed(600);
    await mirror.flags(all);
    mirror.state.commitFlags([{ uid: uid(400), flags: flagsOf(["\\Flagged"]), modSeq: modSeq(0n) }]);
    expect(heard).toEqual([400]);
    expect(known(400)).toEqual(["\\Flagged"]);
  });

  it("that with the higher MODSEQ stands", async () => {
    const fetched = [modSeq(12n), modSeq(9n)];
    const { mirror, all, known } = await listed(2, {
      adjust: (lease) => ({
        ...withModSeqs(() => 10n)(lease),
        async fetchFlags(_set, onFlags) {
          for (const [index, at] of fetched.entries())
            onFlags({ uid: uid(index + 1), flags: flagsOf(["fetched"]), modSeq: at });
        },
      }),
    });
    const wanted = mirror.flags(all);
    mirror.state.commitFlags(
      all.map((each) => ({ uid: each, flags: flagsOf(["delta"]), modSeq: modSeq(11n) })),
    );
    await wanted;
    expect([known(1), known(2)]).toEqual([["fetched"], ["delta"]]);
    const metas = [metaOf(1, { modSeq: modSeq(11n) }), metaOf(2, { modSeq: modSeq(13n) })];
    mirror.state.commitMeta(mirror.state.record, metas);
    expect([known(1), known(2)]).toEqual([["fetched"], ["\\Seen"]]);
  });

  it("metadata stand above flags that came without a MODSEQ", async () => {
    const { mirror, flags, all, known } = await listed(2);
    flags.set(1, ["fetched"]);
    await mirror.flags(all);
    mirror.state.commitMeta(mirror.state.record, [metaOf(1), metaOf(2, { modSeq: modSeq(5n) })]);
    expect([known(1), known(2)]).toEqual([["\\Seen"], ["\\Seen"]]);
  });
});
