/** Legacy servers with IMAP and POP3 that do what real ones do on bad days. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Maildrop, openMaildrop } from "../../src/account/maildrop.ts";
import { MailError } from "../../src/errors.ts";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import { silentLogger } from "../../src/log.ts";
import { inbox } from "../../src/mail/ids.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import { type Mirror, openMirror } from "../../src/migration/mirror.ts";
import { verifyMaildrop } from "../../src/migration/verify-maildrop.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { StoreTrouble } from "../../src/store/store-errors.ts";
import { createMemoryPop3, type MemoryMail, type MemoryPop3, mailText } from "../helpers/memory-pop3.ts";
import { createFixture } from "../store/fixture.ts";
import { createFakeSource, type FakeSourceOptions } from "./fake-source.ts";

const { signal } = new AbortController();
const fixture = createFixture();
let server: MemoryPop3;
let imap: Map<number, string>;
let store: AccountStore;
let mirror: Mirror;

afterEach(async () => {
  vi.restoreAllMocks();
  await mirror.close();
  await fixture.remove();
});

const mails = (count: number): MemoryMail[] =>
  Array.from({ length: count }, (_, index) => ({ uidl: `u-${index}`, text: mailText(index) }));

async function start(box: readonly MemoryMail[], source: Partial<FakeSourceOptions> = {}): Promise<void> {
  server = createMemoryPop3(box);
  imap = new Map(box.map(({ text }, index) => [index + 1, text]));
  store = await fixture.open();
  mirror = openMirror({
    store,
    source: createFakeSource({ messages: imap, ...source }),
    pop3: { source: server.source, mailboxes: "inbox", onUnmatched: "passthrough" },
    logger: silentLogger,
    onOutcome: () => undefined,
  });
}

function maildrop(
  options: { readonly markSeen?: boolean; readonly mirror?: Mirror } = {},
): Promise<Maildrop> {
  const { markSeen = false } = options;
  return openMaildrop({
    mirror: options.mirror ?? mirror,
    lock: { isHeld: false },
    signal,
    uidlFormat: "%08Xu%08Xv",
    markSeen,
  });
}

async function pulledInbox(): Promise<MailboxMirror> {
  const box = await mirror.mailbox(inbox, signal);
  await box.sync(signal);
  while ((await box.pullTurn(5_000)) === "more");
  return box;
}

function alteringSessions(alter: (session: Pop3Session) => Partial<Pop3Session>): void {
  const { open } = server.source;
  vi.spyOn(server.source, "open").mockImplementation(async (waiting) => {
    const session = await open(waiting);
    return { ...session, ...alter(session) };
  });
}

describe("of several messages with one UIDL", () => {
  const head = "From: a@example.org\r\nSubject: same\r\n\r\n";
  const twins = [
    { uidl: "same", text: `${head}one\r\n` },
    { uidl: "same", text: `${head}another\r\n` },
    { uidl: "c", text: mailText(3) },
  ];

  it.each([0, 1])("the one is deleted that the client has deleted (%i)", async (index) => {
    await start(twins);
    const shown = await maildrop();
    await shown.update({ read: [], deleted: shown.messages.slice(index, index + 1) }, signal);
    shown.close();
    expect(server.deleted).toEqual([twins[index]?.text]);
  });
});

it("sizes that change, of more messages than a login may ask about, are matched in the background", async () => {
  await start(mails(150));
  await mirror.maildrop?.match();
  server.box = server.box.map(({ uidl, text }) => ({
    uidl,
    text: text.replace("\r\n\r\n", "\r\nStatus: RO\r\n\r\n"),
  }));
  const shown = await maildrop();
  expect(shown.messages.map(({ uidl }) => String(uidl))).toEqual(server.box.map(({ uidl }) => uidl));
  shown.close();
  expect(store.maildrop.counts().matched).toBe(0);
  await mirror.maildrop?.match();
  expect(store.maildrop.counts()).toEqual({ messages: 150, matched: 150 });
});

it("an INBOX that IMAP refuses does not keep POP3 clients out", async () => {
  const refused = new MailError("NOPERM", "Permission denied");
  await start(mails(5), { beforeList: () => Promise.reject(refused) });
  const shown = await maildrop();
  expect(shown.messages).toHaveLength(5);
  shown.close();
});

it("what cannot be marked as read is deleted all the same", async () => {
  await start(mails(5));
  const store = () => Promise.reject(new MailError("UNAVAILABLE", "IMAP is away"));
  const authority = { ...mirror.authority, store };
  const shown = await maildrop({ markSeen: true, mirror: { ...mirror, authority } });
  const [first, second] = shown.messages;
  if (!first || !second) throw new Error("five messages");
  await shown.update({ read: [first], deleted: [second] }, signal);
  expect(server.deleted).toEqual([mailText(1)]);
});

describe("mail that a client downloads and deletes, all of it, in a session that the old server serves", () => {
  const noUidls = () => ({ uidls: () => Promise.reject(new MailError("CANNOT", "what?")) });
  const otherHeaders = (): Partial<Pop3Session> => ({});

  it.each([
    ["that has no UIDLs", 60, noUidls],
    ["whose messages are not matched", 150, otherHeaders],
  ])("%s, is no accident of the old server", async (_, count, alter) => {
    await start(mails(count));
    const box = await pulledInbox();
    server.box = server.box.map(({ uidl, text }, index) => ({ uidl, text: `X-Pop3: ${index}\r\n${text}` }));
    alteringSessions(alter);
    const shown = await maildrop();
    await shown.update({ read: [], deleted: shown.messages }, signal);
    shown.close();
    imap.clear();
    await box.sync(signal);
    expect(box.state.brake.held).toEqual([]);
    expect(box.state.table.uids).toEqual([]);
  });
});

it("a matching that is asked for takes in another order at the old server", async () => {
  await start(mails(5));
  await pulledInbox();
  await mirror.maildrop?.match();
  server.box.reverse();
  const verdict = await verifyMaildrop({
    store,
    source: server.source,
    signal,
    bytesPercent: 0,
    async resync() {
      mirror.maildrop?.matchAnew();
      await mirror.maildrop?.match();
    },
  });
  expect(verdict.differences).toEqual([]);
});

it("a full disk keeps no client from his mail", async () => {
  await start(mails(5));
  (await maildrop()).close();
  server.box.push({ uidl: "new", text: mailText("new") });
  imap.set(6, mailText("new"));
  const full = (): never => {
    throw new StoreTrouble(new Error("ENOSPC"));
  };
  vi.spyOn(store.maildrop, "change").mockImplementation(full);
  vi.spyOn(store.maildrop, "noteListedUpTo").mockImplementation(full);
  vi.spyOn(store, "writeSetting").mockImplementation(full);
  const shown = await maildrop();
  expect(shown.messages.map(({ uidl }) => String(uidl))).toEqual(server.box.map(({ uidl }) => uidl));
  shown.close();
});

describe("UIDLs that count the messages of the session", () => {
  const counted = (texts: readonly string[]): MemoryMail[] =>
    texts.map((text, index) => ({ uidl: String(index + 1), text }));
  /** Another client deletes the first one. */
  const dropFirst = (): void => {
    const [gone] = server.box;
    for (const [uid, text] of imap) if (text === gone?.text) imap.delete(uid);
    server.box = counted(server.box.slice(1).map(({ text }) => text));
  };
  async function textsOf(shown: Maildrop): Promise<string[]> {
    const texts: string[] = [];
    for (const message of shown.messages) {
      const pieces: Buffer[] = [];
      await shown.read(message, undefined, async (bytes) => void pieces.push(bytes), signal);
      texts.push(Buffer.concat(pieces).toString());
    }
    return texts;
  }

  it.each([
    ["one size", ["a", "b", "c"]],
    ["their own sizes", ["a", "bb", "ccc"]],
  ])("lead to the messages that they name now (%s)", async (_, names) => {
    await start(counted(names.map(mailText)));
    await pulledInbox();
    await mirror.maildrop?.match();
    dropFirst();
    const shown = await maildrop();
    expect(await textsOf(shown)).toEqual(server.box.map(({ text }) => text));
    shown.close();
  });

  it("are not matched by what was read of others in an earlier session", async () => {
    const texts = ["a", "bb", "ccc", "dddd"].map(mailText);
    await start(counted([...texts, mailText("by POP3 only")]));
    imap.delete(5);
    await pulledInbox();
    await mirror.maildrop?.match();
    dropFirst();
    await pulledInbox();
    mirror.maildrop?.matchAnew();
    await mirror.maildrop?.match();
    const matched = (await store.maildrop.entries()).map(({ message }) => message && imap.get(message.uid));
    expect(matched).toEqual([...texts.slice(1), undefined]);
  });
});

describe("a matching in the background", () => {
  const expectMatched = async (): Promise<void> => {
    await mirror.maildrop?.match();
    expect(store.maildrop.counts()).toEqual({ messages: 5, matched: 5 });
  };

  it("is made up for where IMAP goes away in the middle", async () => {
    let isAway = false;
    const adjust = <T>(lease: T): T => {
      if (isAway) throw new MailError("UNAVAILABLE", "IMAP is away");
      return lease;
    };
    await start(mails(5), { adjust });
    await pulledInbox();
    alteringSessions((session) => ({
      list() {
        isAway = true;
        return session.list();
      },
    }));
    await mirror.maildrop?.match();
    isAway = false;
    vi.restoreAllMocks();
    await expectMatched();
  });

  it("is made up for where the disk was full", async () => {
    await start(mails(5));
    await pulledInbox();
    vi.spyOn(store.maildrop, "change").mockImplementation(() => {
      throw new StoreTrouble(new Error("ENOSPC"));
    });
    await expect(mirror.maildrop?.match()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    vi.restoreAllMocks();
    await expectMatched();
  });
});

it("a client does not wait long for an IMAP server that is silent", async () => {
  let isSilent = false;
  const silent = Promise.withResolvers<never>();
  await start(mails(5), { beforeList: async () => (isSilent ? silent.promise : undefined) });
  await pulledInbox();
  await mirror.maildrop?.match();
  isSilent = true;
  imap.set(6, mailText("new"));
  server.box.push({ uidl: "new", text: mailText("new") });
  vi.spyOn(AbortSignal, "timeout").mockImplementation(() =>
    AbortSignal.abort(new DOMException("", "TimeoutError")),
  );
  const shown = await maildrop();
  expect(shown.messages).toHaveLength(6);
  shown.close();
  silent.reject(new MailError("UNAVAILABLE", "IMAP is away"));
});
