/** Legacy servers with POP3 only that do what real ones do on bad days. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { openMaildrop } from "../../src/account/maildrop.ts";
import { MailError } from "../../src/errors.ts";
import { mailText } from "../helpers/memory-pop3.ts";
import {
  alterSessions,
  expunge,
  mailbox,
  maildrop,
  mails,
  mirror,
  pull,
  reopen,
  server,
  shownUidls,
  signal,
  start,
  store,
  uids,
} from "./pop3-fixture.ts";

it("a message that LIST has and UIDL has not is not passed over, and loses nothing", async () => {
  await start(mails(3));
  await pull();
  const before = await uids();
  const [first, second, third] = server.box;
  if (!first || !second || !third) throw new Error("three messages");
  server.box = [first, { ...second, uidl: undefined }, third];
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual(before);
  server.box = [first, second, third];
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual(before);
});

it("a message that breaks the connection does not keep the others away", async () => {
  await start(mails(10).map((mail, index) => ({ ...mail, breaks: index === 3 })));
  for (let tries = 0; tries < 2; tries++) expect(await pull()).toBe("failed");
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
  await reopen();
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

describe("SELECT", () => {
  it("shows what is here where the old server gives other UIDLs each time", async () => {
    await start(mails(10));
    await pull();
    await reopen();
    server.box = server.box.map((mail, index) => ({ ...mail, uidl: `s-${index}` }));
    await (await mailbox()).select(signal);
    expect(await uids()).toHaveLength(10);
  });

  it("does not wait for a pull that has brought something", async () => {
    await start(mails(300));
    const held = Promise.withResolvers<void>();
    alterSessions((session) => ({
      async retrieve(number, write) {
        if (number > 50) await held.promise;
        await session.retrieve(number, write);
      },
    }));
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
  alterSessions((session) => ({
    async remove(number) {
      if (number === 1) throw new MailError("CANNOT", "permission denied");
      await session.remove(number);
    },
  }));
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

it("a message of which LIST tells a lie is as long as it is, big or small, once it has come twice", async () => {
  const big = `Subject: big\r\n\r\n${"x".repeat(3 << 20)}\r\n`;
  await start([
    { uidl: "a", text: big },
    { uidl: "b", text: mailText("b") },
  ]);
  const retrieved: number[] = [];
  alterSessions((session) => ({
    list: async () => new Map([...(await session.list())].map(([number], index) => [number, index + 1])),
    retrieve(number, write) {
      retrieved.push(number);
      return session.retrieve(number, write);
    },
  }));
  expect(await pull()).toBe("complete");
  // Together, and then each by itself; the second once more behind the first.
  expect(retrieved).toEqual([1, 2, 1, 2, 2]);
  expect(await pull()).toBe("complete");
  expect(retrieved).toHaveLength(5);
  const { table } = (await mailbox()).state;
  const sizes = table.uids.map((uid) => (table.get(uid) as { sizeBytes: number }).sizeBytes);
  expect(sizes).toEqual([big.length, mailText("b").length]);
  expect(readdirSync(join(store.directory, "Maildir", "tmp"))).toEqual([]);
});
