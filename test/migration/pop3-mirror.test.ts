/** Legacy servers with POP3 only that do what real ones do on bad days. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { type Maildrop, openMaildrop } from "../../src/account/maildrop.ts";
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
