/** Changes of messages in a local account: whole or not at all, whatever happens beside them. */
import { copyFileSync, existsSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { modSeq, type Uid, uid } from "../../src/mail/ids.ts";
import { contentOf } from "../../src/mail/message-content.ts";
import { type LocalAccount, name, openLocalAccount } from "./local-fixture.ts";

let account: LocalAccount;
const mail = (subject: string): string => `Subject: ${subject}\r\n\r\ntext\r\n`;

beforeEach(async () => {
  account = await openLocalAccount();
});
afterEach(() => account.remove());

describe("APPEND", () => {
  it("keeps its bytes when the client leaves before the mailbox is open", async () => {
    await account.create("Archive");
    await account.append("Archive", mail("first"));
    await account.reopen();
    const bytes = Buffer.from(mail("mine"));
    const incoming = account.store.receive(bytes.length);
    await incoming.write(bytes);
    const appended = account.mirror.authority.append(name("Archive"), {
      incoming,
      flags: [],
      internalDate: undefined,
    });
    incoming.discard();
    // Others' messages take the next descriptors.
    const others = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const other = account.store.receive(30);
        await other.write(Buffer.from(`somebody else's message no. ${index + 10}`.slice(0, 30)));
        return other;
      }),
    );
    expect((await appended)?.uid).toBe(2);
    expect(await account.text("Archive", 2)).toBe(mail("mine"));
    for (const other of others) other.discard();
  });

  it("is OK once it is durable, though the index cannot be written", async () => {
    const other = new DatabaseSync(account.path("../index.db"));
    const bytes = Buffer.from(mail("one"));
    const content = contentOf(bytes);
    const read = (start: number, end: number): Buffer => {
      other.exec("BEGIN IMMEDIATE");
      return bytes.subarray(start, end);
    };
    const incoming = {
      sizeBytes: bytes.length,
      open: () => ({ ...content, read }),
      write: async () => undefined,
      discard: () => undefined,
    };
    const appended = await account.mirror.authority
      .append(name("INBOX"), { incoming, flags: [], internalDate: undefined })
      .finally(() => other.exec("ROLLBACK"));
    other.close();
    expect(appended?.uid).toBe(1);
    expect(await account.append("INBOX", mail("two"))).toBe(2);
    expect(await account.uids("INBOX")).toEqual([1, 2]);
    await account.reopen();
    expect(await account.uids("INBOX")).toEqual([1, 2]);
  });

  it("is OK though a listener fails, and others still hear of it", async () => {
    const { state } = await account.mailbox("INBOX");
    const heard: string[] = [];
    state.subscribe(() => {
      throw new Error("the disk is full");
    });
    state.subscribe(({ kind }) => heard.push(kind));
    expect(await account.append("INBOX", mail("one"))).toBe(1);
    expect(heard).toEqual(["arrived"]);
  });
});

describe("MOVE", () => {
  beforeEach(async () => {
    await account.create("A", "B");
    for (const subject of ["one", "two"]) await account.append("A", mail(subject));
  });

  it("of one message by two sessions at a time gives one message", async () => {
    const from = await account.mailbox("A");
    const move = () => account.mirror.authority.move(from, [uid(1)], name("B"));
    const [first, second] = await Promise.allSettled([move(), move()]);
    expect(first).toMatchObject({ value: { to: [1] } });
    expect(second).toMatchObject({ reason: { code: "EXPUNGEISSUED" } });
    expect(await account.contents()).toEqual(["A: 1", "B: 1", "INBOX: 0"]);
  });

  it("leaves what it cannot copy", async () => {
    const from = await account.mailbox("A");
    await from.content(uid(1), new AbortController().signal);
    const [file] = account.files(".A", "cur");
    renameSync(account.path(".A", "cur", file!), account.path("elsewhere"));
    await expect(account.mirror.authority.move(from, [uid(1), uid(2)], name("B"))).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
    renameSync(account.path("elsewhere"), account.path(".A", "cur", file!));
    // It was told to be gone, and comes as new mail.
    expect(await account.uids("A")).toEqual([2, 3]);
    await account.reopen();
    expect(await account.uids("A")).toEqual([2, 3]);
    expect(await account.uids("B")).toEqual([]);
  });

  it.each([
    ["after all copies, is finished", 2, ["A: 0", "B: 2", "INBOX: 0"]],
    ["after some copies, is undone", 1, ["A: 2", "B: 0", "INBOX: 0"]],
    ["before any copy, is undone", 0, ["A: 2", "B: 0", "INBOX: 0"]],
  ])("that was cut off %s at the next opening", async (_when, copied, expected) => {
    const [from, to] = [await account.mailbox("A"), await account.mailbox("B")];
    const uids = [uid(1), uid(2)].slice(0, copied);
    if (copied > 0) await account.mirror.authority.copy(from, uids, name("B"));
    const intent = {
      kind: "move",
      from: from.state.record.id,
      uids: [1, 2],
      to: to.state.record.id,
      first: 1,
    };
    account.store.writeSetting("transfer", JSON.stringify(intent));
    await account.reopen();
    expect(await account.contents()).toEqual(expected);
  });

  it("a COPY that was cut off after some copies is undone", async () => {
    const [from, to] = [await account.mailbox("A"), await account.mailbox("B")];
    await account.mirror.authority.copy(from, [uid(1)], name("B"));
    const intent = {
      kind: "copy",
      from: from.state.record.id,
      uids: [1, 2],
      to: to.state.record.id,
      first: 1,
    };
    account.store.writeSetting("transfer", JSON.stringify(intent));
    await account.reopen();
    expect(await account.contents()).toEqual(["A: 2", "B: 0", "INBOX: 0"]);
  });

  it("a COPY goes on while flags of its messages change", async () => {
    const [from, to] = [await account.mailbox("A"), await account.mailbox("B")];
    const { promise: free, resolve } = Promise.withResolvers<void>();
    const busy = to.state.exclusive(() => free);
    const copied = account.mirror.authority.copy(from, [uid(1), uid(2)], name("B"));
    await delay(10);
    await account.mirror.authority.store(from, [uid(1)], { kind: "add", flags: ["\\Seen"] });
    resolve();
    await busy;
    expect((await copied)?.to).toEqual([1, 2]);
  });

  it("of messages that are not all there any more is refused as a whole", async () => {
    const from = await account.mailbox("A");
    await expect(account.mirror.authority.copy(from, [uid(1), uid(77)], name("B"))).rejects.toMatchObject({
      code: "EXPUNGEISSUED",
    });
    expect(await account.uids("B")).toEqual([]);
  });

  it("of messages that are being expunged copies them, or is told that they are gone", async () => {
    for (let count = 0; count < 20; count++) await account.append("A", mail(`to go ${count}`));
    const from = await account.mailbox("A");
    const { authority } = account.mirror;
    const { uids } = from.state.table;
    await authority.store(from, uids, { kind: "add", flags: ["\\Deleted"] });
    const expunged = authority.expunge(from);
    const outcomes = await Promise.allSettled(uids.map((one) => authority.copy(from, [one], name("B"))));
    await expunged;
    const refusals = outcomes.filter((outcome) => outcome.status === "rejected");
    for (const { reason } of refusals) expect(reason).toMatchObject({ code: "EXPUNGEISSUED" });
    expect(await account.uids("A")).toEqual([]);
  });
});

describe("files that others touch", () => {
  beforeEach(() => account.append("INBOX", mail("one")));
  const file = (): string => account.files("cur")[0]!;
  const renamed = (): void =>
    renameSync(account.path("cur", file()), account.path("cur", file().replace(/:2,.*$/, ":2,S")));

  it("a mail reader's renaming is followed by FETCH", async () => {
    renamed();
    expect(await account.text("INBOX", 1)).toBe(mail("one"));
  });

  it("a mail reader's renaming is followed by STORE and MOVE", async () => {
    await account.create("B");
    renamed();
    const inbox = await account.mailbox("INBOX");
    await account.mirror.authority.store(inbox, [uid(1)], { kind: "add", flags: ["\\Flagged"] });
    renamed();
    await account.mirror.authority.move(inbox, [uid(1)], name("B"));
    expect(await account.text("B", 1)).toBe(mail("one"));
  });

  it("a message whose file is gone for good is gone", async () => {
    renameSync(account.path("cur", file()), account.path("elsewhere"));
    expect(await account.text("INBOX", 1)).toBeUndefined();
    expect(await account.uids("INBOX")).toEqual([]);
  });

  it("a damaged file is put aside and not deleted", async () => {
    const damaged = file();
    writeFileSync(account.path("cur", damaged), "Subject: one\r\n\r\nte");
    expect(await account.text("INBOX", 1)).toBeUndefined();
    await account.reopen();
    expect(await account.uids("INBOX")).toEqual([]);
    expect(existsSync(account.path("..", "damaged", damaged))).toBe(true);
  });

  it("an expunged message's file from a backup is new mail", async () => {
    const backup = file();
    copyFileSync(account.path("cur", backup), account.path("backup"));
    const inbox = await account.mailbox("INBOX");
    await account.mirror.authority.store(inbox, [uid(1)], { kind: "add", flags: ["\\Deleted"] });
    await account.mirror.authority.expunge(inbox);
    copyFileSync(account.path("backup"), account.path("new", backup));
    await account.reopen();
    expect(await account.uids("INBOX")).toEqual([2]);
    expect(await account.text("INBOX", 2)).toBe(mail("one"));
  });

  it("messages that a sidecar from a backup does not know keep their UIDs", async () => {
    const sidecar = account.path("..", "sidecar.db");
    await account.reopen();
    copyFileSync(sidecar, `${sidecar}.backup`);
    for (const subject of ["two", "three"]) await account.append("INBOX", mail(subject));
    await account.reopen(() => {
      copyFileSync(`${sidecar}.backup`, sidecar);
    });
    expect(await account.uids("INBOX")).toEqual([1, 2, 3]);
    expect(await account.append("INBOX", mail("four"))).toBe(4);
    expect(account.files("new")).toEqual([]);
  });
});

describe("MODSEQ", () => {
  const highest = async (): Promise<bigint> => (await account.mailbox("INBOX")).state.record.highestModSeq;
  const modSeqs = async (): Promise<(bigint | undefined)[]> => {
    const { table } = (await account.mailbox("INBOX")).state;
    return table.uids.map((one) => {
      const message = table.get(one);
      return message && message.presence !== "remote" ? message.modSeq : undefined;
    });
  };

  it("goes up with each change, and is the same after reopening", async () => {
    for (const subject of ["one", "two", "three"]) await account.append("INBOX", mail(subject));
    const inbox = await account.mailbox("INBOX");
    const { authority } = account.mirror;
    await authority.store(inbox, [uid(1)], { kind: "add", flags: ["\\Seen"] });
    expect(await modSeqs()).toEqual([5n, 3n, 4n]);
    await authority.store(inbox, [uid(1)], { kind: "add", flags: ["\\Seen"] });
    expect(await highest()).toBe(5n);
    await authority.store(inbox, [uid(2)], { kind: "add", flags: ["\\Deleted"] });
    await authority.expunge(inbox);
    expect(await highest()).toBe(7n);
    await account.reopen();
    expect(await highest()).toBe(7n);
    expect(await modSeqs()).toEqual([5n, 4n]);
    expect(account.store.expunges.since(inbox.state.record.id, modSeq(6n))).toEqual([2]);
  });

  it("goes on where it was after a RENAME", async () => {
    await account.create("A");
    await account.append("A", mail("one"));
    const { state } = await account.mailbox("A");
    await account.mirror.authority.store(await account.mailbox("A"), [uid(1)], {
      kind: "add",
      flags: ["\\Seen"],
    });
    const told = state.record.highestModSeq;
    await account.mirror.authority.changeName({ kind: "RENAME", name: name("A"), to: name("B") });
    expect((await account.mailbox("B")).state.record.highestModSeq).toBe(told);
    await account.reopen();
    expect((await account.mailbox("B")).state.record.highestModSeq).toBe(told);
  });

  it("is above all that was told when the index is gone", async () => {
    await account.append("INBOX", mail("one"));
    const told = await highest();
    await account.reopen(() => rmSync(account.path("..", "index.db")));
    expect(await highest()).toBeGreaterThan(told);
    expect(await modSeqs()).toEqual([2n]);
  });

  it("is what the log of expunges begins at anew when very much goes at once", async () => {
    await account.append("INBOX", mail("one"));
    const { state } = await account.mailbox("INBOX");
    const told = await highest();
    state.logExpunged(
      Array.from({ length: 20_000 }, (_, index) => uid(index + 10)),
      "wanted",
    );
    const { expunges } = account.store;
    expect(expunges.since(state.record.id, modSeq(told))).toBeUndefined();
    expect(expunges.since(state.record.id, modSeq(await highest()))).toEqual([]);
    const since = await highest();
    await account.reopen();
    expect(await highest()).toBe(since);
  });

  it("of a STORE with UNCHANGEDSINCE decides, message by message", async () => {
    for (const subject of ["one", "two"]) await account.append("INBOX", mail(subject));
    const inbox = await account.mailbox("INBOX");
    const change = { kind: "add", flags: ["\\Seen"] } as const;
    const store = account.mirror.authority.store(inbox, [uid(1), uid(2)], change, modSeq(2n));
    expect(await store).toEqual([2]);
    expect(await modSeqs()).toEqual([4n, 3n]);
  });

  it("is what was told when the sidecar is from a backup, and far above without its index", async () => {
    await account.append("INBOX", mail("one"));
    const sidecar = account.path("..", "sidecar.db");
    await account.reopen();
    copyFileSync(sidecar, `${sidecar}.backup`);
    for (const subject of ["two", "three"]) await account.append("INBOX", mail(subject));
    const [told, each] = [await highest(), await modSeqs()];
    await account.reopen(() => copyFileSync(`${sidecar}.backup`, sidecar));
    expect([await highest(), await modSeqs()]).toEqual([told, each]);
    await account.reopen(() => {
      copyFileSync(`${sidecar}.backup`, sidecar);
      rmSync(account.path("..", "index.db"));
    });
    expect(await highest()).toBeGreaterThan(told);
    for (const value of await modSeqs()) expect(value).toBe(await highest());
  });
});

describe("a disk that fails in between", () => {
  beforeEach(async () => {
    await account.create("B");
    for (const subject of ["one", "two", "three"]) await account.append("INBOX", mail(subject));
  });
  const uids = [1, 2, 3].map(uid);
  const full = (): never => {
    throw Object.assign(new Error("full"), { code: "ENOSPC" });
  };
  /** The store's method fails where `when` says so, for as long as `work` takes. */
  async function failing<T>(
    method: "saveMailbox" | "saveMessages" | "writeSetting" | "removeMessages",
    when: (...passed: never[]) => boolean,
    work: () => Promise<T>,
  ): Promise<T> {
    const whole = account.store[method] as (...passed: never[]) => never;
    const failed = (...passed: never[]): never => (when(...passed) ? full() : whole(...passed));
    vi.spyOn(account.store, method).mockImplementation(failed as never);
    try {
      return await work();
    } finally {
      vi.restoreAllMocks();
    }
  }

  it("APPEND with a new keyword is refused before anything is stored", async () => {
    let calls = 0;
    const refused = failing(
      "saveMailbox",
      () => ++calls === 2,
      () => account.append("INBOX", mail("four"), ["Zork"]),
    );
    await expect(refused).rejects.toThrow("full");
    expect(await account.uids("INBOX")).toEqual([1, 2, 3]);
    await account.reopen();
    expect(await account.uids("INBOX")).toEqual([1, 2, 3]);
  });

  it("HIGHESTMODSEQ is not raised by what was refused, and does not go back afterwards", async () => {
    const highest = async (): Promise<bigint> => (await account.mailbox("INBOX")).state.record.highestModSeq;
    const told = await highest();
    const inbox = await account.mailbox("INBOX");
    const change = { kind: "add", flags: ["\\Seen"] } as const;
    const store = () => account.mirror.authority.store(inbox, uids, change);
    const append = () => account.append("INBOX", mail("four"), ["Zork"]);
    let calls = 0;
    await expect(failing("saveMessages", () => true, store)).rejects.toThrow("full");
    await expect(failing("saveMailbox", () => ++calls === 2, append)).rejects.toThrow("full");
    expect(await highest()).toBe(told);
    await account.reopen();
    expect(await highest()).toBe(told);
  });

  it("COPY that is done stays done, and its copies are their user's", async () => {
    const inbox = await account.mailbox("INBOX");
    const copied = await failing(
      "writeSetting",
      (key: string, value: string) => key === "transfer" && value === "",
      () => account.mirror.authority.copy(inbox, uids, name("B")),
    );
    expect(copied?.to).toEqual([1, 2, 3]);
    const copies = await account.mailbox("B");
    await account.mirror.authority.store(copies, [uid(2)], { kind: "add", flags: ["\\Deleted"] });
    await account.mirror.authority.expunge(copies);
    await account.reopen();
    expect(await account.contents()).toEqual(["B: 2", "INBOX: 3"]);
  });

  it("MOVE whose originals could not be removed leaves no doubles for long", async () => {
    const inbox = await account.mailbox("INBOX");
    const move = () => account.mirror.authority.move(inbox, uids, name("B"));
    await expect(failing("removeMessages", () => true, move)).rejects.toThrow("full");
    await account.mirror.authority.expunge(inbox);
    expect(await account.contents()).toEqual(["B: 3", "INBOX: 0"]);
  });
});

describe("files that are gone", () => {
  beforeEach(async () => {
    await account.create("B");
    for (const subject of ["one", "two"]) await account.append("INBOX", mail(subject));
  });
  const first = (): string => account.path("cur", account.files("cur")[0]!);

  it("an expunged message that a mail reader renamed does not come back", async () => {
    const inbox = await account.mailbox("INBOX");
    await account.mirror.authority.store(inbox, [uid(1)], { kind: "add", flags: ["\\Deleted"] });
    renameSync(first(), `${first()}S`);
    await account.mirror.authority.expunge(inbox);
    await account.reopen();
    expect(await account.uids("INBOX")).toEqual([2]);
  });

  it("STORE drops a message whose file is gone", async () => {
    unlinkSync(first());
    const inbox = await account.mailbox("INBOX");
    await account.mirror.authority.store(inbox, [uid(1)], { kind: "add", flags: ["\\Deleted"] });
    expect(await account.uids("INBOX")).toEqual([2]);
    expect((await account.mirror.authority.copy(inbox, [uid(2)], name("B")))?.from).toEqual([2]);
  });

  it("MOVE refuses once, and is done when it is asked again", async () => {
    unlinkSync(first());
    const inbox = await account.mailbox("INBOX");
    const move = (uids: readonly Uid[]) => account.mirror.authority.move(inbox, uids, name("B"));
    await expect(move([uid(1), uid(2)])).rejects.toMatchObject({ code: "EXPUNGEISSUED" });
    expect(await account.uids("INBOX")).toEqual([2]);
    expect((await move([uid(2)]))?.from).toEqual([2]);
  });

  it("RENAME INBOX that is refused makes no mailbox", async () => {
    unlinkSync(first());
    const rename = () =>
      account.mirror.authority.changeName({ kind: "RENAME", name: name("INBOX"), to: name("Former") });
    await expect(rename()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await account.listed()).toEqual(["B", "INBOX"]);
    await rename();
    expect(await account.contents()).toEqual(["B: 0", "Former: 1", "INBOX: 0"]);
  });

  it("a mail reader's renaming while the sizes are looked at loses nothing", async () => {
    await account.reopen(() => {
      const database = new DatabaseSync(account.path("..", "index.db"));
      database.exec("UPDATE mailboxes SET verified_boot = 'an earlier one'");
      database.close();
    });
    // The folder has been listed by now, and its files are not looked at yet.
    const opening = account.mirror.mailbox(name("INBOX"), new AbortController().signal);
    while (!account.store.fileOf(account.store.mailboxes()[0]!, uid(2))) await delay(0);
    renameSync(first(), `${first()}S`);
    await opening;
    expect(await account.uids("INBOX")).toEqual([1, 2]);
    await account.reopen();
    expect(await account.uids("INBOX")).toEqual([1, 2]);
  });
});
