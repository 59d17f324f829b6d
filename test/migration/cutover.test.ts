/** What may happen in the moment in which an account becomes local. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openMaildrop } from "../../src/account/maildrop.ts";
import { MailError } from "../../src/errors.ts";
import type { ImapSource, Listing, MailboxLease } from "../../src/legacy/source.ts";
import { silentLogger } from "../../src/log.ts";
import { encodedMailboxName, inbox, modSeq, type Uid, uid } from "../../src/mail/ids.ts";
import { type CutoverOptions, cutOver } from "../../src/migration/cutover.ts";
import { openLocalMirror } from "../../src/migration/local-mirror.ts";
import { renamedMailboxes, withRenamed } from "../../src/migration/local-names.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import { type Mirror, openMirror } from "../../src/migration/mirror.ts";
import { openPop3Mirror } from "../../src/migration/pop3-mirror.ts";
import { createSwitchingMirror, type SwitchingMirror } from "../../src/migration/switching-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { createMemoryPop3, type MemoryPop3, mailText } from "../helpers/memory-pop3.ts";
import { createFixture, type StoreFixture } from "../store/fixture.ts";
import { createFakeSource, type FakeSourceOptions } from "./fake-source.ts";

const { signal } = new AbortController();
const listing: Listing = {
  namespaces: { personal: [{ prefix: "", separator: "." }], otherUsers: null, shared: null },
  mailboxes: [{ name: inbox, separator: ".", attributes: ["\\HasNoChildren"] }],
  subscriptions: [],
};

let fixture: StoreFixture;
let store: AccountStore;
let imap: Map<number, string>;
let pop3: MemoryPop3;
let source: ImapSource;
let switching: SwitchingMirror;
let stage: "complete" | "local";

beforeEach(() => {
  fixture = createFixture();
  stage = "complete";
});

afterEach(async () => {
  vi.restoreAllMocks();
  await switching.mirror.close().catch(() => undefined);
  fixture.remove();
});

async function start(more: Partial<FakeSourceOptions> = {}): Promise<MailboxMirror> {
  store = await fixture.open();
  const mails = [1, 2, 3].map((number) => ({ uidl: `u-${number}`, text: mailText(number) }));
  imap = new Map(mails.map(({ text }, index) => [index + 1, text]));
  pop3 = createMemoryPop3(mails);
  const fake = createFakeSource({ messages: imap, ...more });
  source = {
    ...fake,
    use: async (_, work) =>
      work({
        capabilities: new Set(),
        listing: async () => listing,
        status: async () => ({}),
      } as unknown as MailboxLease),
  };
  const first = openMirror({
    store,
    source,
    pop3: { source: pop3.source, mailboxes: "inbox", onUnmatched: "passthrough" },
    logger: silentLogger,
    onOutcome: () => undefined,
  });
  switching = createSwitchingMirror(first);
  const box = await switching.mirror.mailbox(inbox, signal);
  await box.sync(signal);
  return box;
}

function cut(options: Partial<CutoverOptions> = {}): ReturnType<typeof cutOver> {
  return cutOver({
    switching,
    imap: source,
    verify: async () => ({ differences: [], again: async () => [] }),
    isRelaying: () => false,
    commit: () => {
      stage = "local";
    },
    isCommitted: () => stage === "local",
    onBroken: () => undefined,
    openLocal: (states) => openLocalMirror({ store, logger: silentLogger, states }),
    logger: silentLogger,
    signal,
    dryRun: false,
    ...options,
  });
}

/** `work` runs when changes are held back, after the last delta. */
const afterTheDelta = (work: () => Promise<void>): Partial<CutoverOptions> => ({
  async verify() {
    const again = async (): Promise<readonly string[]> => {
      await work();
      return [];
    };
    return { differences: ["one that may be gone"], again };
  },
});

async function reopened(): Promise<Mirror> {
  await switching.mirror.close();
  store = await fixture.open({ durable: true });
  const mirror = await openLocalMirror({ store, logger: silentLogger });
  switching = createSwitchingMirror(mirror);
  return switching.mirror;
}

async function append(mirror: Mirror, name = "new"): Promise<Uid | undefined> {
  const bytes = Buffer.from(mailText(name));
  const incoming = mirror.store.receive(bytes.length);
  await incoming.write(bytes);
  const appended = await mirror.authority.append(inbox, { incoming, flags: [], internalDate: undefined });
  incoming.discard();
  return appended?.uid;
}

it("mail that comes after the last delta is not taken for local without its bytes", async () => {
  const box = await start();
  let came = 0;
  await cut(
    afterTheDelta(async () => {
      if (came++ > 0) return;
      // As IDLE does.
      imap.set(4, mailText(4));
      await box.sync(signal);
    }),
  );
  const local = await (await reopened()).mailbox(inbox, signal);
  expect(local.state.table.uids).toEqual([1, 2, 3, 4]);
  expect(local.state.table.fullCount).toBe(4);
});

describe("UIDs that are given out afterwards", () => {
  it("leave a gap, and each mailbox has flags that last", async () => {
    await start();
    await cut();
    expect(await append(switching.mirror)).toBe(104);
    expect(await append(switching.mirror)).toBe(105);
    const mirror = await reopened();
    expect(await append(mirror)).toBe(106);
    expect((await mirror.mailbox(inbox, signal)).state.record.permanentFlags).toContain("\\*");
  });

  it("do so after a kill behind the commit", async () => {
    await start();
    const killed = new Error("killed");
    const commit = (): void => {
      stage = "local";
      throw killed;
    };
    vi.spyOn(store, "becomeLocal").mockImplementation(() => {
      throw killed;
    });
    await expect(cut({ commit })).rejects.toThrow("killed");
    const mirror = await reopened();
    expect(await append(mirror)).toBe(104);
    expect((await mirror.mailbox(inbox, signal)).state.record.permanentFlags).toContain("\\*");
  });

  it("do so where the disk refuses them once", async () => {
    await start();
    await cut();
    vi.spyOn(store, "saveMailbox").mockImplementationOnce(() => {
      throw new Error("ENOSPC");
    });
    await expect(append(switching.mirror)).rejects.toThrow();
    expect(await append(switching.mirror)).toBe(104);
  });
});

it("a commit that fails leaves the account where it was", async () => {
  const box = await start();
  const commit = (): void => {
    throw new MailError("UNAVAILABLE", "no space left");
  };
  await expect(cut({ commit })).rejects.toThrow("no space left");
  expect(box.state.isLocal).toBe(false);
  await cut();
  expect(box.state.isLocal).toBe(true);
});

it("what waits while the account breaks is refused, and goes nowhere", async () => {
  await start();
  vi.spyOn(store, "becomeLocal").mockImplementation(() => {
    throw new Error("broken");
  });
  let waiting: Promise<unknown> = Promise.resolve();
  const onBroken = vi.fn();
  const held = afterTheDelta(async () => {
    waiting = append(switching.mirror).catch((error: unknown) => error);
  });
  await expect(cut({ ...held, onBroken })).rejects.toThrow("broken");
  expect(onBroken).toHaveBeenCalledOnce();
  expect(await waiting).toMatchObject({ code: "UNAVAILABLE" });
});

it("a maildrop that is updated in that moment loses what its client has deleted, on both sides or here", async () => {
  await start();
  expect((await switching.mirror.pull(signal)).kind).toBe("complete");
  const shown = await openMaildrop({
    mirror: switching.mirror,
    lock: { isHeld: false },
    signal,
    uidlFormat: "%08Xu%08Xv",
    markSeen: false,
  });
  let updating: Promise<void> | undefined;
  await cut(
    afterTheDelta(async () => {
      updating ??= shown.update({ read: [], deleted: shown.messages.slice(0, 1) }, signal);
    }),
  );
  await updating;
  const box = await switching.mirror.mailbox(inbox, signal);
  expect(box.state.table.uids).toEqual([2, 3]);
});

it("a POP3 login that has waited does not ask the old server", async () => {
  await start();
  await switching.mirror.pull(signal);
  const opening = vi.spyOn(pop3.source, "open");
  let asked = 0;
  let waiting: Promise<unknown> | undefined;
  await cut({
    commit() {
      stage = "local";
      asked = opening.mock.calls.length;
      waiting = switching.mirror.maildrop?.open(signal);
    },
  });
  expect(await waiting).toMatchObject({ kind: "ours", hasOthers: true });
  expect(opening.mock.calls.length).toBe(asked);
});

it("MODSEQs go on above every one that was told", async () => {
  let highest = 10n;
  const withModSeqs = (lease: MailboxLease): MailboxLease => ({
    ...lease,
    examined: { ...lease.examined, highestModSeq: modSeq(highest) },
    examineAgain: async () => ({ ...(await lease.examineAgain()), highestModSeq: modSeq(highest) }),
    // Newer than what the last EXAMINE told.
    fetchMeta: (uids, onMeta) => lease.fetchMeta(uids, (meta) => onMeta({ ...meta, modSeq: modSeq(15n) })),
  });
  const box = await start({ adjust: withModSeqs });
  highest = 11n;
  await cut();
  await switching.mirror.authority.store(box, [uid(1)], { kind: "add", flags: ["\\Flagged"] });
  expect(box.state.table.get(uid(1))).toMatchObject({ modSeq: 16n });
});

it("dovecot-uidlist names what a client has brought a moment before", async () => {
  const box = await start();
  const { pull } = switching.mirror;
  let pulls = 0;
  switching.mirror.pull = async (waiting) => {
    const outcome = await pull(waiting);
    if (++pulls === 2) {
      imap.set(4, mailText(4));
      await box.sync(signal);
      (await box.content(uid(4), signal))?.close();
      await expect.poll(() => box.state.table.fullCount).toBe(4);
    }
    return outcome;
  };
  await cut();
  expect(readFileSync(join(fixture.directory, "Maildir", "dovecot-uidlist"), "latin1")).toMatch(/^4 /m);
});

it("INBOX of an account with POP3 alone is fed, whoever asked for it first", async () => {
  const server = createMemoryPop3([{ uidl: "a", text: mailText("a") }]);
  store = await fixture.open({ durable: true });
  const options = { store, source: server.source, logger: silentLogger, onOutcome: () => undefined };
  switching = createSwitchingMirror(await openPop3Mirror(options));
  switching.mirror.opened();
  await switching.mirror.all();
  const box = await switching.mirror.mailbox(inbox, signal);
  await box.sync(signal);
  await expect.poll(() => box.state.table.uids).toEqual([1]);
});

it("RENAME onto a level without a mailbox lists the name once", () => {
  const [a, b, below] = ["A", "B", "A.x"].map(encodedMailboxName);
  if (!a || !b || !below) throw new Error("three names");
  const entry = (name: typeof a, ...attributes: string[]) => ({ name, separator: ".", attributes });
  const kept = { ...listing, mailboxes: [entry(a, "\\Noselect"), entry(below), entry(b)] };
  const names = withRenamed(kept, renamedMailboxes(kept, b, a)).mailboxes.map(({ name }) => name);
  expect(names.sort()).toEqual([a, below]);
});
