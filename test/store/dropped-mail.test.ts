/** What others put, rename and remove in a local mailbox's folder. */
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { type Uid, uid } from "../../src/mail/ids.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { withCrlf } from "../../src/store/bare-lf.ts";
import { crlfContent } from "../../src/store/crlf-content.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../../src/store/store.ts";
import { addMailbox, createFixture, metaOf, readAll, type StoreFixture, takingFrom } from "./fixture.ts";

let fixture: StoreFixture;
let store: AccountStore;
let inbox: MailboxRecord;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open({ durable: true });
  inbox = addMailbox(store);
  await store.loadMessages(inbox);
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

const path = (...names: readonly string[]): string => join(fixture.directory, "Maildir", ...names);
const bytesPath = (sub: string, name: string): Buffer =>
  Buffer.concat([Buffer.from(`${path(sub)}/`), Buffer.from(name, "latin1")]);
const uidlist = (): string => readFileSync(path("dovecot-uidlist"), "latin1");

/** As a delivery agent does. */
function drop(name: string, text: string, sub = "new"): void {
  writeFileSync(join(fixture.directory, "dropped"), text);
  utimesSync(join(fixture.directory, "dropped"), 1_600_000_000, 1_600_000_000);
  renameSync(join(fixture.directory, "dropped"), bytesPath(sub, name));
}

async function take(from = 1000): Promise<readonly StoredMessage[]> {
  const taking = takingFrom(from);
  const taken: StoredMessage[] = [];
  for (let isMore = true; isMore; ) {
    if (!(await store.lookAround(inbox)).hasMail) break;
    const some = await store.takeDropped(inbox, taking);
    taken.push(...some.messages);
    isMore = some.isMore;
  }
  return taken;
}

const uidsOf = (messages: readonly StoredMessage[]): readonly Uid[] => messages.map((message) => message.uid);

/** As a Dovecot beside us writes it. */
function list(next: number, ...lines: readonly string[]): void {
  const text = lines.map((line) => `${line}\n`).join("");
  writeFileSync(
    path("dovecot-uidlist"),
    `3 V${inbox.uidValidity} N${next} G0123456789abcdef0123456789abcdef\n${text}`,
  );
}

describe("mail that others put there", () => {
  it("is a message as it is, under its own name, and has a line in dovecot-uidlist", async () => {
    drop("1.M1P1.there,S=12,W=14", "Subject: a\n\n");
    const [message] = await take();
    expect(message).toMatchObject({ uid: 1000, sizeBytes: 14, fileName: "1.M1P1.there,S=12,W=14:2," });
    expect(message && (await readAll(store, inbox, message))).toBe("Subject: a\r\n\r\n");
    expect(readFileSync(path("cur", "1.M1P1.there,S=12,W=14:2,"), "utf8")).toBe("Subject: a\n\n");
    expect(uidlist()).toMatch(/^3 V\d+ N1000 G[0-9a-f]{32}\n1000 :1\.M1P1\.there,S=12,W=14\n$/);
  });

  it("has the UID that a Dovecot beside us has given it, and what has none yet is above", async () => {
    list(1007, "900 :9.gone", "1002 W14 :2.there", "1005 :1.there");
    for (const name of ["1.there", "2.there", "0.new"]) drop(name, `Subject: ${name}\n\n`);
    drop("9.gone:2,S", "Subject: put back\n\n", "cur");
    const taken = await take();
    expect(taken.map((message) => [message.uid, message.presence === "full" && message.fileName])).toEqual([
      [1002, "2.there:2,"],
      [1005, "1.there:2,"],
      [1007, "0.new:2,"],
      [1008, "9.gone:2,S"],
    ]);
    expect(uidlist().split("\n").slice(3)).toEqual(["1005 :1.there", "1007 :0.new", "1008 :9.gone", ""]);
  });

  it("keeps its UID over an opening, also where nothing but the list tells it", async () => {
    drop("1.there", "Subject: a\n\n");
    drop("2.there:2,FS", "Subject: b\n\n", "cur");
    await take();
    store.saveMailbox({ ...inbox, uidNext: uid(1002) });
    for (const index of ["kept", "removed"]) {
      await store.close();
      if (index === "removed") unlinkSync(join(fixture.directory, "index.db"));
      store = await fixture.open({ durable: true });
      [inbox] = store.mailboxes() as [MailboxRecord];
      const loaded = await store.loadMessages(inbox);
      expect(loaded).toMatchObject([
        { presence: "full", uid: 1000, sizeBytes: 14 },
        { presence: "full", uid: 1001, flags: ["\\Flagged", "\\Seen"] },
      ]);
      expect((await store.lookAround(inbox)).hasMail).toBe(false);
    }
  });

  it("has its UID of the list, too, where it came while the account was closed", async () => {
    await store.close();
    list(1002, "1001 :1.there");
    drop("1.there", "Subject: a\n\n");
    store = await fixture.open({ durable: true });
    expect(await store.loadMessages(inbox)).toEqual([]);
    expect(await store.writtenUidNext({ ...inbox, uidNext: uid(1001) })).toBe(1001);
    expect(uidsOf(await take())).toEqual([1001]);
  });

  it("is taken at once where it may still be written, and is another message when it is whole", async () => {
    writeFileSync(path("new", "1.there"), "Subject: ha");
    const [half] = await take();
    expect(half).toMatchObject({ uid: 1000, sizeBytes: 11 });
    appendFileSync(path("cur", "1.there:2,"), "lf\n\n");
    expect(await store.lookAround(inbox)).toMatchObject({ isScanned: true, hasMail: true });
    expect(store.fileOf(inbox, uid(1000))).toBeUndefined();
    const [whole] = await take(1001);
    expect(whole).toMatchObject({ uid: 1001, sizeBytes: 17 });
    expect(whole && (await readAll(store, inbox, whole))).toBe("Subject: half\r\n\r\n");
  });

  it("is another message where its bytes have changed later", async () => {
    drop("1.there", "Subject: a\n\n");
    const [message] = await take();
    writeFileSync(path("cur", "1.there:2,"), "Subject: another\n\n");
    await expect(readAll(store, inbox, message as StoredMessage)).rejects.toThrow("cannot be read");
    expect(existsSync(path("cur", "1.there:2,"))).toBe(true);
    expect(await take(1001)).toMatchObject([{ uid: 1001, sizeBytes: 20 }]);
  });

  it("keeps every byte of a big one, whatever is read of it", async () => {
    const text = `Subject: a\n\n${"x".repeat((256 << 10) - 13)}\r\n${"line\n".repeat(100_000)}`;
    drop("1.there", text);
    const [message] = await take();
    const expected = text.replaceAll(/\r?\n/g, "\r\n");
    expect(message).toMatchObject({ sizeBytes: expected.length });
    if (message?.presence !== "full") throw new Error("it is not there");
    const content = store.openMessage(inbox, message);
    for (const [start, end] of [
      [0, expected.length],
      [400_000, 400_100],
      [3, 5],
    ] as const)
      expect((await content.read(start, end)).toString("latin1")).toBe(expected.slice(start, end));
    content.close();
  });

  it("is copied with the line ends that it is served with", async () => {
    drop("1.there", "Subject: a\n\n");
    await take();
    const meta = metaOf(1001, { sizeBytes: 14 });
    const [copy] = await store.addMessages(inbox, [{ meta, copyOf: { mailbox: inbox, uid: uid(1000) } }]);
    expect(copy && (await readAll(store, inbox, copy))).toBe("Subject: a\r\n\r\n");
  });

  it("is taken whatever bytes its name has, and where its name is one of ours", async () => {
    const ours = `0000000007.M${inbox.id}V5P0.mailferry,S=12,W=14:2,S`;
    for (const name of ["1.caf\xe9", "2.\xff\xfe:2,S", "3.line\nfeed", ours])
      drop(name, `Subject: ${name.length}\n\n`, name.includes(":") ? "cur" : "new");
    const taken = await take();
    expect(uidsOf(taken)).toEqual([1000, 1001, 1002, 1003]);
    for (const message of taken)
      expect(await readAll(store, inbox, message)).toMatch(/^Subject: \d+\r\n\r\n$/);
    expect(readdirSync(path("new"))).toEqual([]);
    expect(readdirSync(path("cur")).every((name) => /^\d+\.M\d{6}P\d+Q\d+\.[\w.-]+:2,S?$/.test(name))).toBe(
      true,
    );
  });

  it("is not what a link leads to, nor a folder", async () => {
    writeFileSync(join(fixture.directory, "secret"), "Subject: secret\n\n");
    for (const sub of ["new", "cur"]) symlinkSync(join(fixture.directory, "secret"), path(sub, "1.link"));
    mkdirSync(path("cur", "2.folder"));
    drop("3.there", "Subject: a\n\n");
    expect(uidsOf(await take())).toEqual([1000]);
    expect(await store.lookAround(inbox)).toMatchObject({ hasMail: false });
  });

  it("is two messages where two files have one name, and one where they are one file", async () => {
    drop("1.there", "Subject: a\n\n");
    drop("1.there:2,S", "Subject: b\n\n", "cur");
    expect(uidsOf(await take())).toEqual([1000, 1001]);
    linkSync(path("cur", "1.there:2,S"), path("cur", "1.there:2,F"));
    expect(await take(1002)).toEqual([]);
    drop("1.there", "Subject: c\n\n");
    expect(uidsOf(await take(1002))).toEqual([1002]);
    expect(readdirSync(path("cur"))).toHaveLength(3);
  });

  it("goes on behind a line of which a kill has left half", async () => {
    drop("1.there", "Subject: a\n\n");
    await take();
    appendFileSync(path("dovecot-uidlist"), "1001 :2.th");
    drop("3.there", "Subject: c\n\n");
    expect(uidsOf(await take(1001))).toEqual([1001]);
    expect(uidlist()).toMatch(/\n1000 :1\.there\n1001 :3\.there\n$/);
  });
});

describe("the look at a local mailbox's folder", () => {
  it("sees no change in what is done here", async () => {
    drop("1.there", "Subject: a\n\n");
    const [message] = await take();
    if (message?.presence !== "full") throw new Error("it is not there");
    await settled();
    store.saveMessages(inbox, [{ ...message, flags: flagsOf(["\\Seen"]) }]);
    expect(store.fileOf(inbox, uid(1000))).toBe("1.there:2,S");
    expect(store.isUnchanged(inbox)).toBe(true);
    const content = { ...metaOf(1001, { sizeBytes: 14 }) };
    await store.addMessages(inbox, [{ meta: content, copyOf: { mailbox: inbox, uid: uid(1000) } }]);
    expect(store.isUnchanged(inbox)).toBe(true);
    await store.removeMessages(inbox, [uid(1001)]);
    expect(store.isUnchanged(inbox)).toBe(true);
  });

  it("lists the folder once at most while nobody but us changes it", async () => {
    drop("1.there", "Subject: a\n\n");
    await take();
    const meta = (number: number) => metaOf(number, { sizeBytes: 14 });
    const copyOf = { mailbox: inbox, uid: uid(1000) };
    await store.addMessages(inbox, [{ meta: meta(1001), copyOf }]);
    await store.lookAround(inbox);
    for (let number = 1002; number < 1010; number++) {
      await store.addMessages(inbox, [{ meta: meta(number), copyOf }]);
      expect(store.isUnchanged(inbox)).toBe(true);
    }
  });

  it("sees what others rename and remove", async () => {
    for (const name of ["1.there", "2.there"]) drop(name, "Subject: a\n\n");
    const [first] = await take();
    await settled();
    renameSync(path("cur", "1.there:2,"), path("cur", "1.there:2,FS"));
    unlinkSync(path("cur", "2.there:2,"));
    expect(store.isUnchanged(inbox)).toBe(false);
    expect(await store.lookAround(inbox)).toMatchObject({ isScanned: true, hasMail: false });
    expect(store.fileOf(inbox, uid(1000))).toBe("1.there:2,FS");
    expect(store.fileOf(inbox, uid(1001))).toBeUndefined();
    if (first?.presence !== "full") throw new Error("it is not there");
    expect(store.flagsOfFile(inbox, first, "1.there:2,FS")).toEqual(["\\Flagged", "\\Seen"]);
    drop("2.there:2,", "Subject: a\n\n", "cur");
    expect(uidsOf(await take(1002))).toEqual([1002]);
  });

  it("tells keywords that others have added to dovecot-keywords", async () => {
    drop("1.there", "Subject: a\n\n");
    const [first] = await take();
    if (first?.presence !== "full") throw new Error("it is not there");
    expect(store.flagsOfFile(inbox, first, "1.there:2,a")).toBeUndefined();
    writeFileSync(path("dovecot-keywords"), "0 $Label1\n");
    expect(store.flagsOfFile(inbox, first, "1.there:2,a")).toEqual(["$Label1"]);
  });

  /** Until no change can hide in the tick of the clock in which the last one was made. */
  async function settled(): Promise<void> {
    for (const sub of ["new", "cur"]) utimesSync(path(sub), 1_600_000_000.5, 1_600_000_000.5);
    await store.lookAround(inbox);
    for (const name of readdirSync(path("cur"))) utimesSync(path("cur", name), 1_600_000_000, 1_600_000_000);
    expect(store.isUnchanged(inbox)).toBe(true);
  }
});

describe("withCrlf", () => {
  it("gives the same however the bytes are split", () => {
    const bytes = fc.array(fc.constantFrom("\r", "\n", "a"), { maxLength: 20 });
    fc.assert(
      fc.property(bytes, fc.nat(20), (parts, at) => {
        const text = parts.join("");
        const [head, tail] = [Buffer.from(text.slice(0, at)), Buffer.from(text.slice(at))];
        const joined = Buffer.concat([withCrlf(head, 0), withCrlf(tail, head.at(-1) ?? 0)]);
        expect(joined.toString()).toBe(text.replaceAll(/(?<!\r)\n/g, "\r\n"));
      }),
    );
  });
});

describe("crlfContent", () => {
  it("reads the same bytes in any order, of a big file, too", async () => {
    const lines = fc.array(fc.constantFrom("\r\n", "\n", "a", "b".repeat(50_000)), { minLength: 1 });
    const places = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(lines, places, async (parts, reads) => {
        const bytes = Buffer.from(`${parts.join("")}${"x\n".repeat(150_000)}`);
        const expected = bytes.toString().replaceAll(/(?<!\r)\n/g, "\r\n");
        const file: MessageContent = {
          sizeBytes: bytes.length,
          read: async (start, end) => bytes.subarray(start, end),
          close: () => undefined,
        };
        const content = crlfContent(file, expected.length);
        for (const [from, length] of reads) {
          const start = from % expected.length;
          const end = Math.min(start + (length % 200_000), expected.length);
          expect((await content?.read(start, end))?.toString()).toBe(expected.slice(start, end));
        }
      }),
      { numRuns: 8 },
    );
  });
});
