/** What an old server with POP3 only lists from one look to the next, and how far it is believed. */
import { describe, expect, it, vi } from "vitest";
import { MailError } from "../../src/errors.ts";
import { inbox, type Uid } from "../../src/mail/ids.ts";
import { StoreTrouble } from "../../src/store/store-errors.ts";
import { mailText } from "../helpers/memory-pop3.ts";
import {
  alterSessions,
  counted,
  expunge,
  later,
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
  textsHere,
  uids,
} from "./pop3-fixture.ts";

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const full = (): never => {
  throw new StoreTrouble(new Error("ENOSPC"));
};

it.each([2, 10, 150])(
  "UIDLs that change with each session (of %i messages) bring nothing twice",
  async (count) => {
    await start(mails(count));
    await pull();
    const before = await uids();
    for (let session = 0; session < 3; session++) {
      server.box = server.box.map((mail, index) => ({ ...mail, uidl: `s${session}-${index}` }));
      await pull();
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
  await reopen();
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
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(await shownUidls()).toEqual(server.box.map(({ uidl }) => uidl));
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

describe("other UIDLs", () => {
  const renamed = (count: number, name = "other"): void => {
    server.box = server.box.map((mail, index) =>
      index < count ? { ...mail, uidl: `${name}-${index}` } : mail,
    );
  };

  it.each([1, 4, 5, 10])("of %i of 10 messages change nothing else of them", async (count) => {
    await start(mails(10));
    await pull();
    renamed(count);
    await pull();
    expect(await uids()).toEqual(upTo(10));
    expect(await shownUidls()).toEqual(server.box.map(({ uidl }) => uidl));
  });

  it("do not undo a deletion that waits", async () => {
    await start(mails(10));
    await pull();
    server.isDown = true;
    await expunge((await uids())[0]);
    server.isDown = false;
    renamed(10);
    await pull();
    expect(await uids()).toEqual(upTo(10).slice(1));
    expect(server.deleted).toEqual([mailText(0)]);
  });

  it("do not undo a deletion that comes while they are compared", async () => {
    await start(mails(10));
    await pull();
    renamed(10);
    let asked = 0;
    alterSessions((session) => ({
      async top(number, lines) {
        if (++asked === 8) await expunge((await mirror.opened())[0]?.state.table.uids[0]);
        return session.top(number, lines);
      },
    }));
    await pull();
    expect(await uids()).toEqual(upTo(10).slice(1));
    expect(server.deleted).toEqual([mailText(0)]);
  });

  it.each(["once", "each time"])("after a first pull that broke (%s) bring nothing twice", async (how) => {
    await start(mails(100).map((mail, index) => ({ ...mail, breaks: index === 30 })));
    await pull();
    expect((await uids()).length).toBeLessThan(100);
    server.box = server.box.map((mail) => ({ ...mail, breaks: false }));
    for (let session = 0; session < 4; session++) {
      renamed(100, how === "once" ? "once" : `s${session}`);
      await pull();
      expect(await uids()).toEqual(upTo(100));
    }
  });

  it("are compared to their end though clients come in between", async () => {
    await start(mails(300));
    await pull();
    renamed(300);
    alterSessions((session) => {
      let asked = 0;
      return {
        async top(number, lines) {
          if (++asked > 200) throw new StoreTrouble(new Error("hurried away"));
          return session.top(number, lines);
        },
      };
    });
    expect(await pull()).toBe("failed");
    expect(await pull()).toBe("complete");
    expect(await uids()).toEqual(upTo(300));
  });
});

describe("UIDLs that count the messages of the session", () => {
  const texts = ["a", "bb", "ccc", "dddd", "eeeee"].map(mailText);
  const recount = (): void => {
    server.box = counted(server.box.map(({ text }) => text));
  };

  it.each([texts, ["a", "b", "c", "d", "e"].map(mailText)])("a client's deletions", async (...all) => {
    await start(counted(all));
    await pull();
    for (const gone of [0, 2]) {
      const text = (await textsHere())[gone];
      await expunge((await uids())[gone]);
      await pull();
      recount();
      await pull();
      expect(server.deleted.at(-1)).toBe(text);
    }
    expect(await textsHere()).toEqual([1, 2, 4].map((index) => all[index]));
    expect(await textsHere()).toEqual(server.box.map(({ text }) => text));
  });

  it("another client's", async () => {
    await start(counted(texts));
    await pull();
    server.box.shift();
    recount();
    await pull();
    expect(await textsHere()).toEqual(texts.slice(1));
    const shown = await maildrop();
    const pieces: Buffer[] = [];
    const [first] = shown.messages;
    if (first) await shown.read(first, undefined, async (bytes) => void pieces.push(bytes), signal);
    shown.close();
    expect(Buffer.concat(pieces).toString()).toBe(texts[1]);
  });
});

describe("held deletions", () => {
  const heldMessages = async (): Promise<number[]> =>
    (await mirror.held.list()).map(({ messages }) => messages);

  it("do not have the rest believed at once", async () => {
    await start(mails(60));
    await pull();
    server.box = server.box.slice(0, 15);
    await pull();
    expect(await heldMessages()).toEqual([45]);
    server.box = [];
    await pull();
    expect(await uids()).toHaveLength(60);
  });

  it.each([
    ["accepted", 40],
    ["refused", 40],
  ] as const)("that are %s are those, and no more", async (how, left) => {
    await start(mails(90));
    await pull();
    server.box = server.box.slice(0, 40);
    await pull();
    expect(await heldMessages()).toEqual([50]);
    server.box = [];
    if (how === "accepted") await mirror.held.accept(signal);
    else await mirror.held.refuse(signal);
    await pull();
    expect(await uids()).toHaveLength(left);
  });

  it("keep their place in the maildrop", async () => {
    await start(mails(60));
    await pull();
    server.box = [
      ...server.box.slice(0, 10),
      ...server.box.slice(50, 60),
      { uidl: "new", text: mailText("new") },
    ];
    await pull();
    expect(await shownUidls()).toEqual([...mails(60).map(({ uidl }) => uidl), "new"]);
  });

  it("keep their UIDLs where a refusal fails, and nothing is there twice", async () => {
    await start(mails(60));
    await pull();
    const all = server.box;
    server.box = [];
    await pull();
    vi.spyOn(store, "addMessages").mockImplementationOnce(full);
    await expect(mirror.held.refuse(signal)).rejects.toThrow();
    server.box = all;
    await pull();
    expect(await uids()).toHaveLength(60);
    expect(await shownUidls()).toEqual(all.map(({ uidl }) => uidl));
    expect(server.deleted).toEqual([]);
  });

  it("are refused though a client expunges one meanwhile", async () => {
    await start(mails(60));
    await pull();
    const all = server.box;
    server.box = [];
    await pull();
    const [first] = await uids();
    const { changeName } = mirror.authority;
    vi.spyOn(mirror.authority, "changeName").mockImplementation(async (change) => {
      await changeName(change);
      // Before: where the deletion is looked after while it is not listed there, it is taken for done.
      server.box = all;
      await expunge(first);
    });
    expect(await mirror.held.refuse(signal)).toBe("Rescued");
    // The first may be one that had looked before.
    await pull();
    await pull();
    expect(server.deleted.length).toBeLessThanOrEqual(1);
    expect(await uids()).toHaveLength(59);
  });

  it("that are refused while new UIDLs are compared are not deleted there", async () => {
    await start(mails(60));
    await pull();
    const all = server.box;
    server.box = [];
    await pull();
    server.box = all.map((mail, index) => ({ ...mail, uidl: `other-${index}` }));
    let asked = 0;
    let refusal: Promise<unknown> | undefined;
    alterSessions((session) => ({
      top(number, lines) {
        if (++asked === 30) refusal = mirror.held.refuse(signal);
        return session.top(number, lines);
      },
    }));
    await pull();
    await refusal;
    await pull();
    expect(server.deleted).toEqual([]);
    expect(server.box).toHaveLength(60);
  });

  it.each(["a full disk", "UIDLs that change"])(
    "are not what a client deletes in spite of %s",
    async (what) => {
      await start(mails(160));
      await pull();
      if (what === "a full disk") {
        server.box.push({ uidl: "new", text: mailText("new") });
        vi.spyOn(store.maildrop, "change").mockImplementation(full);
      } else server.box = server.box.map((mail, index) => ({ ...mail, uidl: `s-${index}` }));
      const shown = await maildrop();
      await shown.update({ read: [], deleted: shown.messages }, signal);
      shown.close();
      vi.restoreAllMocks();
      expect(server.box).toEqual([]);
      await pull();
      expect(await heldMessages()).toEqual([]);
      expect(await uids()).toEqual([]);
    },
  );
});

it("a small maildrop that is emptied elsewhere is empty here, too, though nobody stays for long", async () => {
  await start(mails(5));
  await pull();
  server.box = [];
  await shownUidls();
  await reopen();
  later(31_000);
  expect(await shownUidls()).toEqual([]);
});

it("what is doubted keeps its place", async () => {
  await start(mails(10));
  await pull();
  server.box = server.box.slice(2, 4);
  await pull();
  expect(await shownUidls()).toEqual(mails(10).map(({ uidl }) => uidl));
});

describe("a UIDL that comes again", () => {
  const deleteAll = async (): Promise<string[]> => {
    const shown = await maildrop();
    await shown.update({ read: [], deleted: shown.messages }, signal);
    shown.close();
    return shown.messages.map(({ uidl }) => String(uidl));
  };

  it.each(["1", "u"])("(%s) is that of new mail, which a client gets to see", async (uidl) => {
    await start([{ uidl, text: mailText("first") }]);
    expect(await deleteAll()).toEqual([uidl]);
    for (const name of ["second", "third mail"]) {
      server.box = [{ uidl, text: mailText(name) }];
      expect(await shownUidls()).toEqual([uidl]);
      // The first may be one that had looked before.
      await pull();
      await pull();
      expect(server.box).toHaveLength(1);
      expect(await textsHere()).toEqual([mailText(name)]);
      expect(await deleteAll()).toEqual([uidl]);
    }
  });
});

describe("a message that the old server does not give", () => {
  it.each(["CANNOT", "UNAVAILABLE"] as const)(
    "(%s) keeps none of the others away where UIDLs change",
    async (code) => {
      await start(mails(10));
      await pull();
      server.box = [
        ...server.box.map((mail, index) => ({ ...mail, uidl: `other-${index}` })),
        { uidl: "bad", text: mailText("x") },
      ];
      const refuse = (number: number): void => {
        if (server.box[number - 1]?.uidl === "bad") throw new MailError(code, "no such message");
      };
      alterSessions((session) => ({
        async top(number, lines) {
          refuse(number);
          return session.top(number, lines);
        },
        async peek(number, write) {
          refuse(number);
          await session.peek(number, write);
        },
        async retrieve(number, write) {
          refuse(number);
          await session.retrieve(number, write);
        },
      }));
      for (let look = 0; look < 8; look++) await pull();
      expect(await uids()).toEqual(upTo(10));
      server.box = [...server.box.slice(1), { uidl: "new", text: mailText("new") }];
      for (let look = 0; look < 4; look++) await pull();
      expect((await textsHere()).at(-1)).toBe(mailText("new"));
    },
  );
});

it("headers that are not the same twice have no message fetched twice", async () => {
  await start(counted(["a", "b", "c"].map(mailText)));
  alterSessions((session) => ({
    top: async (number, lines) =>
      Buffer.concat([Buffer.from("X-Scanned: now\r\n"), await session.top(number, lines)]),
  }));
  for (let look = 0; look < 4; look++) await pull();
  expect(await uids()).toEqual([1, 2, 3]);
});

it("a refusal that failed once does not undo later deletions", async () => {
  await start(mails(60));
  await pull();
  const all = server.box;
  server.box = [];
  await pull();
  vi.spyOn(store, "addMessages").mockImplementationOnce(full);
  await expect(mirror.held.refuse(signal)).rejects.toThrow();
  server.box = all;
  await pull();
  await expunge((await uids())[0]);
  await pull();
  await pull();
  expect(server.deleted).toEqual([mailText(0)]);
  expect(await uids()).toHaveLength(59);
});

it("many UIDLs that change with each session are compared from time to time", async () => {
  await start(mails(150));
  await pull();
  let session = 0;
  const change = (): void => {
    session++;
    server.box = server.box.map((mail, index) => ({ ...mail, uidl: `s${session}-${index}` }));
  };
  for (let look = 0; look < 3; look++) {
    change();
    await pull();
  }
  server.box.push({ uidl: "new", text: mailText("new") });
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + 700_000);
  change();
  expect(await pull()).toBe("complete");
  expect(await uids()).toEqual(upTo(151));
});

it("deletions get done though a client comes at each of them", async () => {
  await start(mails(100));
  await pull();
  for (const uid of await uids()) if (uid % 2 === 0) await expunge(uid);
  const { inBackground } = server.source;
  vi.spyOn(server.source, "inBackground").mockImplementation((waiting, work) =>
    inBackground(waiting, (session) => {
      const coming = new AbortController();
      const remove = async (number: number): Promise<void> => {
        await session.remove(number);
        coming.abort();
      };
      return work({ ...session, remove }, coming.signal);
    }),
  );
  for (let look = 0; look < 3; look++) await pull();
  expect(server.deleted).toHaveLength(50);
});

it("the same bytes delivered once more are not taken for what was deleted", async () => {
  await start(mails(3));
  await pull();
  server.quit = "loses its answer";
  await expunge((await uids())[0]);
  await pull();
  server.quit = "works";
  server.box.push({ uidl: "again", text: mailText(0) });
  await pull();
  expect(server.deleted).toHaveLength(1);
  expect(await textsHere()).toContain(mailText(0));
});
