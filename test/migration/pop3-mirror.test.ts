/** Legacy servers with POP3 only that do what real ones do on bad days. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Maildrop, openMaildrop } from "../../src/account/maildrop.ts";
import { MailError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { inbox, type Uid } from "../../src/mail/ids.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { Mirror } from "../../src/migration/mirror.ts";
import { openPop3Mirror } from "../../src/migration/pop3-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { createMemoryPop3, type MemoryMail, type MemoryPop3, mailText } from "../helpers/memory-pop3.ts";
import { createFixture } from "../store/fixture.ts";

const { signal } = new AbortController();
const fixture = createFixture();
let server: MemoryPop3;
let store: AccountStore;
let mirror: Mirror;

afterEach(async () => {
  vi.restoreAllMocks();
  await mirror.close();
  await fixture.remove();
});

const mails = (count: number): MemoryMail[] =>
  Array.from({ length: count }, (_, index) => ({ uidl: `u${index}`, text: mailText(index) }));

async function open(): Promise<void> {
  store = await fixture.open({ durable: true });
  mirror = await openPop3Mirror({
    store,
    source: server.source,
    logger: silentLogger,
    onOutcome: () => undefined,
  });
}

async function start(box: readonly MemoryMail[]): Promise<void> {
  server = createMemoryPop3(box);
  await open();
}

const mailbox = (): Promise<MailboxMirror> => mirror.mailbox(inbox, signal);
const uids = async (): Promise<readonly Uid[]> => (await mailbox()).state.table.uids;
const pull = async (): Promise<string> => (await mirror.pull(signal)).kind;

function maildrop(): Promise<Maildrop> {
  return openMaildrop({ mirror, lock: { isHeld: false }, signal, uidlFormat: "%08Xu%08Xv", markSeen: false });
}

const shownUidls = async (): Promise<string[]> => {
  const shown = await maildrop();
  shown.close();
  return shown.messages.map(({ uidl }) => String(uidl));
};

function later(ms: number): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
}

async function expunge(uid: Uid | undefined): Promise<void> {
  if (uid === undefined) throw new Error("no such message");
  const box = await mailbox();
  await mirror.authority.store(box, [uid], { kind: "add", flags: ["\\Deleted"] });
  await mirror.authority.expunge(box, [uid]);
}

it("a message that LIST has and UIDL has not is not passed over, and loses nothing", async () => {
  await start(mails(3));
  await pull();
  const before = await uids();
  const [first, second, third] = server.box;
  if (!first || !second || !third) throw new Error("three messages");
  server.box = [first, { ...second, uidl: undefined }, third];
  expect(await pull()).toBe("failed");
  expect(await uids()).toEqual(before);
  server.box = [first, second, third];
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual(before);
});

it.each([60, 10])(
  "UIDLs that change with each session (of %i messages) bring nothing twice",
  async (count) => {
    await start(mails(count));
    await pull();
    const before = await uids();
    for (let session = 0; session < 3; session++) {
      server.box = server.box.map((mail, index) => ({ ...mail, uidl: `s${session}-${index}` }));
      expect(await pull()).toBe("failed");
      expect(await uids()).toEqual(before);
    }
    const shown = await maildrop();
    expect(shown.messages.map(({ uidl }) => String(uidl))).toEqual(server.box.map(({ uidl }) => uidl));
    shown.close();
  },
);

it("held deletions are known after the account was closed, and nothing is deleted there when they are refused", async () => {
  await start(mails(60));
  await pull();
  const all = server.box;
  server.box = [];
  expect(await pull()).toBe("incomplete");
  await mirror.close();
  await open();
  expect(await mirror.held.list()).toEqual([{ mailbox: inbox, messages: 60 }]);
  expect(await uids()).toHaveLength(60);
  expect(await mirror.held.refuse(signal)).toBe("Rescued");
  server.box = all;
  await pull();
  expect(server.deleted).toEqual([]);
  expect(server.box).toHaveLength(60);
});

it("an accepted loss is that one, and no other", async () => {
  await start(mails(60));
  await pull();
  server.isDown = true;
  await mirror.held.accept(signal).catch(() => undefined);
  server.isDown = false;
  server.box = [];
  expect(await pull()).toBe("incomplete");
  expect(await uids()).toHaveLength(60);
  await mirror.held.accept(signal);
  expect(await uids()).toHaveLength(0);
});

it("a message that breaks the connection does not keep the others away", async () => {
  await start(mails(10).map((mail, index) => ({ ...mail, breaks: index === 3 })));
  for (let tries = 0; tries < 3; tries++) expect(await pull()).toBe("failed");
  expect(await pull()).toBe("incomplete");
  expect(await uids()).toHaveLength(9);
  expect(mirror.maildrop?.problems().join()).toContain("u3");
});

it("a big message that does not come leaves nothing behind", async () => {
  await start([{ uidl: "a", text: "x".repeat(2 << 20), breaks: true }]);
  for (let tries = 0; tries < 2; tries++) await pull();
  const spooled = readdirSync(join(store.directory, "Maildir", "tmp"));
  expect(spooled).toEqual([]);
});

it("one of two messages of one UIDL is deleted, once, though the answer to QUIT is lost", async () => {
  await start([1, 2].map(() => ({ uidl: "same", text: mailText("same") })));
  await pull();
  server.quit = "loses its answer";
  await expunge((await uids())[0]);
  await pull();
  server.quit = "works";
  await pull();
  expect(server.deleted).toHaveLength(1);
  expect(await uids()).toHaveLength(1);
});

it("a server that does not answer QUIT is no reason to refuse a client for whom all is here", async () => {
  await start(mails(3));
  await pull();
  server.quit = "fails";
  const shown = await maildrop();
  expect(shown.messages).toHaveLength(3);
  shown.close();
});

it("what IMAP has deleted is not shown by a session that the old server serves", async () => {
  await start(mails(3));
  await pull();
  server.isDown = true;
  await expunge((await uids())[0]);
  server.isDown = false;
  server.box.push({ uidl: "new", text: mailText("new") });
  const shown = await maildrop();
  expect(shown.messages.map(({ uidl }) => String(uidl))).toEqual(["u1", "u2", "new"]);
  shown.close();
});

it("a removal that was cut off does not come back under a UIDL of our own", async () => {
  await start(mails(3));
  await pull();
  server.box.splice(0, 1);
  const remove = store.removeMessages;
  store.removeMessages = async () => {
    throw new Error("killed here");
  };
  await pull();
  store.removeMessages = remove;
  await mirror.close();
  await open();
  await pull();
  const shown = await maildrop();
  expect(shown.messages.map(({ uidl }) => String(uidl))).toEqual(["u1", "u2"]);
  shown.close();
});

it("deletes nothing there when a removal was cut off here, and the message is listed again", async () => {
  await start(mails(3));
  await pull();
  const all = server.box;
  server.box = all.slice(1);
  vi.spyOn(store, "removeMessages").mockRejectedValueOnce(new Error("killed here"));
  expect(await pull()).toBe("failed");
  server.box = all;
  expect(await pull()).toBe("complete");
  expect(server.deleted).toEqual([]);
  expect(server.box).toHaveLength(3);
  expect(await uids()).toHaveLength(3);
});

describe("a maildrop of less than 50 messages that is suddenly empty", () => {
  const flagged = { kind: "add", flags: ["\\Flagged"] } as const;

  it("is empty here only when a later look says so, too", async () => {
    await start(mails(49));
    await pull();
    const box = await mailbox();
    await mirror.authority.store(box, (await uids()).slice(0, 1), flagged);
    const all = server.box;
    server.box = [];
    await pull();
    await pull();
    expect(await uids()).toHaveLength(49);
    server.box = all;
    await pull();
    expect((await uids())[0]).toBe(1);
    expect(box.state.table.get((await uids())[0] as Uid)).toMatchObject({ flags: ["\\Flagged"] });
  });

  it("is believed then", async () => {
    await start(mails(49));
    await pull();
    server.box = [];
    await pull();
    later(31_000);
    await pull();
    expect(await uids()).toEqual([]);
  });
});

it("mail that is replaced by other mail of the same sizes is other mail", async () => {
  await start(mails(3));
  await pull();
  server.box = [5, 6, 7].map((name) => ({ uidl: `u${name}`, text: mailText(name) }));
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual([1, 2, 3, 4, 5, 6]);
  later(31_000);
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual([4, 5, 6]);
  expect(await shownUidls()).toEqual(["u5", "u6", "u7"]);
});

it("other UIDLs that last are taken over, and no message is fetched again", async () => {
  await start(mails(10));
  await pull();
  server.box = server.box.map((mail, index) => ({ ...mail, uidl: `other-${index}` }));
  expect(await pull()).toBe("failed");
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(await shownUidls()).toEqual(server.box.map(({ uidl }) => uidl));
});

describe("what a client deletes in a session that the old server serves", () => {
  it("is not shown any more while the old server is away", async () => {
    await start(mails(3));
    await pull();
    server.box.push({ uidl: "new", text: mailText("new") });
    const shown = await maildrop();
    await shown.update({ read: [], deleted: shown.messages.filter((_, index) => index % 3 === 0) }, signal);
    shown.close();
    expect(server.deleted).toHaveLength(2);
    server.isDown = true;
    expect(await shownUidls()).toEqual(["u1", "u2"]);
  });

  it("is deleted here, too, though it was pulled meanwhile", async () => {
    await start(mails(3));
    const shown = await maildrop();
    // Stands for an old server that drops the connection.
    shown.close();
    await pull();
    const quit = shown.update({ read: [], deleted: shown.messages.slice(0, 1) }, signal);
    await expect(quit).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await pull();
    expect(await uids()).toEqual([2, 3]);
    expect(await shownUidls()).toEqual(["u1", "u2"]);
  });
});

it("held deletions can be refused after a client has expunged one of them", async () => {
  await start(mails(60));
  await pull();
  server.box = [];
  await pull();
  await expunge((await uids())[0]);
  expect(await mirror.held.refuse(signal)).toBe("Rescued");
  expect(await pull()).toBe("complete");
  expect(await mirror.held.list()).toEqual([]);
  expect(await uids()).toEqual([]);
  expect(await shownUidls()).toEqual([]);
});

describe("SELECT", () => {
  it("shows what is here where the old server gives other UIDLs each time", async () => {
    await start(mails(10));
    await pull();
    await mirror.close();
    await open();
    server.box = server.box.map((mail, index) => ({ ...mail, uidl: `s-${index}` }));
    await (await mailbox()).select(signal);
    expect(await uids()).toHaveLength(10);
  });

  it("does not wait for a pull that has brought something", async () => {
    await start(mails(300));
    const held = Promise.withResolvers<void>();
    const { open: openSession } = server.source;
    vi.spyOn(server.source, "open").mockImplementation(async (waiting) => {
      const session = await openSession(waiting);
      return {
        ...session,
        async retrieve(number, write) {
          if (number > 50) await held.promise;
          await session.retrieve(number, write);
        },
      };
    });
    const pulled = pull();
    const box = await mailbox();
    await box.select(signal);
    expect((await uids()).length).toBeGreaterThan(0);
    await box.sync(signal);
    held.resolve();
    await pulled;
  });
});

it("a message that may not be deleted there is named, and keeps nothing else from working", async () => {
  await start(mails(3));
  await pull();
  const { open: openSession } = server.source;
  vi.spyOn(server.source, "open").mockImplementation(async (waiting) => {
    const session = await openSession(waiting);
    const remove = async (number: number): Promise<void> => {
      if (number === 1) throw new MailError("CANNOT", "permission denied");
      await session.remove(number);
    };
    return { ...session, remove };
  });
  const [first, second] = await uids();
  await expunge(first);
  await expunge(second);
  server.box.push({ uidl: "new", text: mailText("new") });
  expect(await pull()).toBe("incomplete");
  expect(mirror.maildrop?.problems().join()).toContain("u0: the old server does not delete it");
  expect(server.deleted).toEqual([mailText(1)]);
  expect(await uids()).toEqual([3, 4]);
  expect(await shownUidls()).toEqual(["u2", "new"]);
});

it("a client that leaves while the old server is silent does not keep the maildrop", async () => {
  await start(mails(3));
  const { open: openSession } = server.source;
  vi.spyOn(server.source, "open").mockImplementationOnce(async (waiting) => {
    const session = await openSession(waiting);
    const silent = Promise.withResolvers<never>();
    const close = (): void => silent.reject(new MailError("UNAVAILABLE", "closed"));
    return { ...session, list: () => silent.promise, close };
  });
  const client = new AbortController();
  const lock = { isHeld: false };
  const options = { mirror, lock, uidlFormat: "%08Xu%08Xv", markSeen: false };
  const opening = openMaildrop({ ...options, signal: client.signal });
  const ended = expect(opening).rejects.toThrow("left");
  await new Promise((resolve) => setImmediate(resolve));
  client.abort(new Error("left"));
  await ended;
  expect(lock.isHeld).toBe(false);
  (await openMaildrop({ ...options, signal })).close();
});

it("a message of which LIST tells a lie is as long as it is, big or small, and fetched once", async () => {
  const big = `Subject: big\r\n\r\n${"x".repeat(3 << 20)}\r\n`;
  await start([
    { uidl: "a", text: big },
    { uidl: "b", text: mailText("b") },
  ]);
  const { open: openSession } = server.source;
  let retrieved = 0;
  vi.spyOn(server.source, "open").mockImplementation(async (waiting) => {
    const session = await openSession(waiting);
    return {
      ...session,
      list: async () => new Map([...(await session.list())].map(([number], index) => [number, index + 1])),
      retrieve(number, write) {
        retrieved++;
        return session.retrieve(number, write);
      },
    };
  });
  expect(await pull()).toBe("complete");
  expect(retrieved).toBe(2);
  const { table } = (await mailbox()).state;
  const sizes = table.uids.map((uid) => (table.get(uid) as { sizeBytes: number }).sizeBytes);
  expect(sizes).toEqual([big.length, mailText("b").length]);
  expect(readdirSync(join(store.directory, "Maildir", "tmp"))).toEqual([]);
});
