/** dovecot-uidlist is written where it would say something else, and only there. */
import { appendFileSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import { parseUidlist } from "../../src/store/dovecot-uidlist.ts";
import { uidlFormatKey } from "../../src/store/pop3-fields.ts";
import type { AccountStore, MailboxRecord, RevisedMessages, StoredMessage } from "../../src/store/store.ts";
import { addMailbox, createFixture, metaOf, type StoreFixture } from "./fixture.ts";

interface Table extends RevisedMessages {
  revision: number;
  messages: readonly StoredMessage[];
  /** How often they were asked for. */
  looks: number;
}

let fixture: StoreFixture;
let store: AccountStore;
let inbox: MailboxRecord;
let table: Table;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
  inbox = addMailbox(store);
  table = tableOf(full(1), full(2), { presence: "meta", ...metaOf(3) });
  await store.checkpoint(inbox, table);
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

function full(number: number, fileName = `${number}.file,S=100,W=100:2,S`): StoredMessage {
  return { presence: "full", fileName, ...metaOf(number) };
}

function tableOf(...messages: readonly StoredMessage[]): Table {
  const made: Table = {
    revision: 7,
    messages,
    looks: 0,
    all() {
      made.looks++;
      return made.messages;
    },
  };
  return made;
}

const path = (): string => join(fixture.directory, "Maildir", "dovecot-uidlist");
const read = () => parseUidlist(readFileSync(path(), "latin1"));
const linesOf = () => read()?.records.map(({ uid, fields }) => [uid, ...fields].join(" "));

/** Whether it was written anew; the content is what it is. */
async function writes(messages: RevisedMessages = table, mailbox = inbox): Promise<boolean> {
  const before = statSync(path(), { bigint: true, throwIfNoEntry: false });
  await store.checkpoint(mailbox, messages);
  const after = statSync(path(), { bigint: true });
  return before?.ino !== after.ino || before.mtimeNs !== after.mtimeNs;
}

async function reopen(): Promise<void> {
  await store.close();
  store = await fixture.open();
}

describe("a checkpoint", () => {
  it("does not look at the messages where their revision is that of the last one", async () => {
    expect(linesOf()).toEqual(["1", "2"]);
    expect(await writes()).toBe(false);
    expect(table.looks).toBe(1);
  });

  it("writes what has come, and a UIDNEXT that is higher", async () => {
    table.revision++;
    table.messages = [...table.messages.slice(0, 2), full(3)];
    expect(await writes()).toBe(true);
    expect(linesOf()).toEqual(["1", "2", "3"]);
    expect(await writes(table, { ...inbox, uidNext: uid(2000) })).toBe(true);
    expect(read()?.header.uidNext).toBe(2000);
  });

  it("looks at the messages where their revision is another, and writes nothing where they are the same", async () => {
    table.revision++;
    table.messages = [{ ...full(1), ...metaOf(1, { flags: flagsOf([]) }) }, ...table.messages.slice(1)];
    expect(await writes()).toBe(false);
    expect(table.looks).toBe(2);
    expect(await writes()).toBe(false);
    expect(table.looks).toBe(2);
  });

  it("does not take another table for the same", async () => {
    expect(await writes(tableOf(full(2)))).toBe(true);
    expect(linesOf()).toEqual(["2"]);
  });

  it("writes UIDLs that were found, and lost", async () => {
    const message = { mailbox: inbox.id, uid: uid(2) };
    const entry = { position: 4, uidl: uidl("two"), sizeBytes: 100, message, isRemoved: false };
    store.maildrop.change({ removed: [], put: [{ ...entry, problem: undefined, print: undefined }] });
    expect(await writes()).toBe(true);
    expect(linesOf()).toEqual(["1", "2 Ptwo O4"]);
    store.maildrop.forgetMessages(inbox.id, [uid(2)]);
    expect(await writes()).toBe(true);
    expect(linesOf()).toEqual(["1", "2"]);
  });

  it("writes UIDLs of a format that was settled", async () => {
    store.writeSetting(uidlFormatKey, "%u");
    expect(await writes()).toBe(true);
    expect(linesOf()).toEqual(["1 P1", "2 P2"]);
  });

  it("writes what somebody has changed or removed", async () => {
    appendFileSync(path(), "3 :3.file,S=100,W=100\n");
    expect(await writes()).toBe(true);
    expect(linesOf()).toEqual(["1", "2"]);
    rmSync(path());
    expect(await writes()).toBe(true);
    expect(linesOf()).toEqual(["1", "2"]);
  });

  it("writes dovecot-keywords that were behind, and nothing else", async () => {
    const keywords = join(fixture.directory, "Maildir", "dovecot-keywords");
    const lock = `${path()}.lock`;
    writeFileSync(lock, "");
    store.saveMessages(inbox, [full(1), { presence: "meta", ...metaOf(3, { flags: flagsOf(["$Later"]) }) }]);
    await store.fileMessages(inbox, [
      { meta: metaOf(4, { flags: flagsOf(["$Later"]), sizeBytes: 1 }), bytes: Buffer.from("a") },
    ]);
    expect(statSync(keywords, { throwIfNoEntry: false })).toBeUndefined();
    rmSync(lock);
    expect(await writes()).toBe(false);
    expect(readFileSync(keywords, "latin1")).toBe("0 $Later\n");
  });

  it("writes the list of a new UIDVALIDITY", async () => {
    inbox = await store.resetMailbox(inbox.id, uidValidity(5)!);
    expect(await writes()).toBe(true);
    expect(read()?.header.uidValidity).toBe(5);
  });

  it("keeps what others have put into the first line", async () => {
    writeFileSync(path(), readFileSync(path(), "latin1").replace("\n", " Pabc\n"), "latin1");
    expect(await writes()).toBe(false);
    expect(read()?.header.otherFields).toEqual(["Pabc"]);
  });
});

describe("the first checkpoint of an opening", () => {
  const many = (last: number): Table =>
    tableOf(...Array.from({ length: last }, (_, index) => full(index + 1)));

  beforeEach(async () => {
    inbox = { ...inbox, uidNext: uid(50_000) };
    await store.checkpoint(inbox, many(12_000));
    await reopen();
  });

  it("writes nothing where the list says it already", async () => {
    expect(await writes(many(12_000))).toBe(false);
  });

  it.each([
    ["one has come", many(12_001)],
    ["one has left", many(11_999)],
    ["all have left", many(0)],
    ["one has another file", tableOf(...many(11_999).messages, full(12_000, "12000.other:2,"))],
  ])("writes where %s", async (_, changed) => {
    expect(await writes(changed)).toBe(true);
    expect(linesOf()).toEqual(changed.messages.map((message) => String(message.uid)));
    expect(read()?.records.at(-1)?.fileName).toBe(
      (changed.messages.at(-1) as { fileName: string } | undefined)?.fileName.replace(/:.*/, ""),
    );
  });
});
