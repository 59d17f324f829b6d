/** What an account has written is flushed, whatever it was, and nothing is where it has written nothing. */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { encodedMailboxName, modSeq, uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import { createFlusher, type Flusher } from "../../src/store/flusher.ts";
import { openAccountStore } from "../../src/store/open.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../../src/store/store.ts";
import { createWriter, type Writer } from "../../src/store/writer.ts";
import {
  addMailbox,
  createFixture,
  fileAndSave,
  metaOf,
  type StoreFixture,
  takingFrom,
  toFile,
} from "./fixture.ts";

let fixture: StoreFixture;
let writer: Writer;
let flusher: Flusher;
let store: AccountStore;
let inbox: MailboxRecord;
let messages: readonly StoredMessage[];
let flushes: number;
/** Tells what is to come of the next flush. */
let onFlush: () => Promise<void>;

beforeEach(async () => {
  fixture = createFixture();
  writer = createWriter();
  flushes = 0;
  onFlush = async () => undefined;
  flusher = startProcess();
  store = await open();
  inbox = addMailbox(store);
  messages = await fileAndSave(
    store,
    inbox,
    [1, 2, 3].map((number) => toFile(number, "Subject: a\r\n\r\n")),
  );
  await store.makeDurable();
  expect(flushes).toBe(1);
});
afterEach(async () => {
  await store.close();
  await writer.close();
  fixture.remove();
});

/** Its knowledge of what was written, without any process. */
function startProcess(): Flusher {
  const sync = (): Promise<void> => {
    flushes++;
    return onFlush();
  };
  return createFlusher({ writer, logger: silentLogger, helper: { sync } });
}

const open = (durable = false): Promise<AccountStore> =>
  openAccountStore(fixture.directory, { writer, flusher, durable });

async function reopen(durable = false): Promise<void> {
  await store.close();
  store = await open(durable);
}

const maildir = (...names: readonly string[]): string => join(fixture.directory, "Maildir", ...names);

/** Of UID 1. */
function firstFile(): string {
  return readdirSync(maildir("cur")).find((name) => name.startsWith("0000000001."))!;
}

function drop(): void {
  writeFileSync(maildir("new", "1.M1P1.there"), "Subject: b\n\n");
  utimesSync(maildir("new", "1.M1P1.there"), 1_600_000_000, 1_600_000_000);
}

const header = new Map([[uid(1), Buffer.from("Subject: a\r\n\r\n")]]);
const structure = new Map([[uid(1), { body: Buffer.from("()"), bodyStructure: Buffer.from("()") }]]);

const writing: Readonly<Record<string, () => unknown>> = {
  addMailbox: () => addMailbox(store, { name: "Sent" }),
  saveMailbox: () => store.saveMailbox({ ...inbox, uidNext: uid(2000) }),
  resetMailbox: () => store.resetMailbox(inbox.id, uidValidity(5)!),
  dropMailbox: () => store.dropMailbox(inbox.id),
  writeSetting: () => store.writeSetting("a", "b"),
  writeMark: () => store.writeMark("a", "b"),
  async writeSubscriptions() {
    store.writeSubscriptions([encodedMailboxName("INBOX")], "/");
    // Which waits for it.
    await store.compareSubscriptions([], "/");
  },
  "expunges.start": () => store.expunges.start(inbox.id, modSeq(1n)),
  "maildrop.change": () => {
    const entry = { position: 1, uidl: uidl("a"), sizeBytes: 1, isRemoved: false } as const;
    const message = { mailbox: inbox.id, uid: uid(1) };
    store.maildrop.change({
      removed: [],
      put: [{ ...entry, message, problem: undefined, print: undefined }],
    });
  },
  saveMessages: () => store.saveMessages(inbox, [{ ...messages[0]!, ...metaOf(1, { flags: flagsOf([]) }) }]),
  removeMessages: () => store.removeMessages(inbox, [uid(1)]),
  saveHeaders: () => store.saveHeaders(inbox, header),
  saveStructures: () => store.saveStructures(inbox, structure),
  fileMessages: () => store.fileMessages(inbox, [toFile(9, "Subject: c\r\n\r\n")]),
  async fileCopies() {
    const emailId = "M1";
    store.saveMessages(inbox, [{ ...messages[0]!, ...metaOf(1, { emailId, sizeBytes: 14 }) }]);
    await store.makeDurable();
    flushes = 0;
    expect((await store.fileCopies(inbox, [metaOf(9, { emailId, sizeBytes: 14 })])).size).toBe(1);
  },
  async spool() {
    const spooled = store.spool(inbox, uid(9), 5);
    await spooled.write(Buffer.from("a\r\n\r\n"));
    await spooled.commit(metaOf(9, { sizeBytes: 5 }));
  },
  addMessages: () => store.addMessages(inbox, [{ meta: metaOf(9), copyOf: { mailbox: inbox, uid: uid(1) } }]),
  async takeDropped() {
    await reopen(true);
    drop();
    await store.lookAround(inbox);
    expect((await store.takeDropped(inbox, takingFrom(1000))).messages).toHaveLength(1);
  },
  setAside: () => store.setAside(inbox, [uid(1)]),
  nextUidValidity: () => store.nextUidValidity(),
  checkpoint: () => store.checkpoint(inbox, { revision: 1, all: () => messages }),
  handOver: () =>
    store.handOver({ mailboxes: [{ record: inbox, messages }], subscriptions: [], separator: "/" }),
  "loadMessages, of a file that has come back": async () => {
    renameSync(maildir("cur", firstFile()), maildir("new", firstFile()));
    await store.loadMessages(inbox);
  },
  "loadMessages, of a file whose name is behind": async () => {
    renameSync(maildir("cur", firstFile()), maildir("cur", firstFile().replace(/:2,S$/, ":2,F")));
    await reopen();
    await store.loadMessages(inbox);
  },
  "loadMessages, of two files of one message": async () => {
    writeFileSync(maildir("cur", firstFile().replace(/:2,S$/, ":2,F")), "Subject: a\r\n\r\n");
    await store.loadMessages(inbox);
  },
  "loadMessages, of a file of an earlier UIDVALIDITY": async () => {
    writeFileSync(maildir("cur", firstFile().replace(/V\d+/, "V5")), "Subject: a\r\n\r\n");
    await store.loadMessages(inbox);
  },
};

/** Of an account in which nothing is to be done. */
const reading: Readonly<Record<string, () => unknown>> = {
  mailboxes: () => store.mailboxes(),
  readSetting: () => store.readSetting("a"),
  loadMessages: () => store.loadMessages(inbox),
  "saveMessages, of none": () => store.saveMessages(inbox, []),
  "fileCopies, of which there are none": () => store.fileCopies(inbox, [metaOf(9, { emailId: "M9" })]),
  header: () => store.header(inbox, uid(1)),
  structure: () => store.structure(inbox, uid(1)),
  compareSubscriptions: () => store.compareSubscriptions([], "/"),
  async "writeSubscriptions, where the file says it already"() {
    await writing["writeSubscriptions"]!();
    await store.makeDurable();
    flushes = 0;
    await writing["writeSubscriptions"]!();
  },
  "expunges.since": () => store.expunges.since(inbox.id, modSeq(0n)),
  "maildrop.entries": () => store.maildrop.entries(),
  writtenUidNext: () => store.writtenUidNext(inbox),
  "lookAround, where there is nothing new": () => store.lookAround(inbox),
  openMessage: () => store.openMessage(inbox, messages[0] as StoredMessage & { presence: "full" }).close(),
  "checkpoint, where the list says it already": async () => {
    await store.checkpoint(inbox, { revision: 1, all: () => messages });
    await store.makeDurable();
    flushes = 0;
    await store.checkpoint(inbox, { revision: 1, all: () => messages });
    await reopen();
    await store.checkpoint(inbox, { revision: 1, all: () => messages });
  },
  "receive, of what nobody wants": async () => {
    const incoming = store.receive(5);
    await incoming.write(Buffer.from("a\r\n\r\n"));
    incoming.discard();
  },
  "its opening": () => reopen(),
};

describe("makeDurable", () => {
  it.each(Object.keys(writing))("flushes after %s", async (name) => {
    await store.loadMessages(inbox);
    await store.makeDurable();
    flushes = 0;
    await writing[name]!();
    await store.makeDurable();
    expect(flushes).toBe(1);
    await store.makeDurable();
    expect(flushes).toBe(1);
  });

  it.each(Object.keys(reading))("does nothing after %s", async (name) => {
    await store.loadMessages(inbox);
    await store.makeDurable();
    flushes = 0;
    await reading[name]!();
    await store.makeDurable();
    expect(flushes).toBe(0);
  });

  it("moves the databases' logs before it flushes", async () => {
    const sizes: number[] = [];
    onFlush = async () => {
      sizes.push(
        ...["index.db-wal", "sidecar.db-wal"].map((name) => statSync(join(fixture.directory, name)).size),
      );
    };
    store.writeSetting("a", "b");
    store.writeMark("a", "b");
    await store.makeDurable();
    expect(sizes).toEqual([0, 0]);
  });

  it("flushes what was written before the account was opened once more", async () => {
    await store.fileMessages(inbox, [toFile(9, "Subject: c\r\n\r\n")]);
    await reopen();
    await store.makeDurable();
    expect(flushes).toBe(2);
  });

  it("flushes what an earlier process may have written", async () => {
    await store.close();
    flusher = startProcess();
    store = await open();
    await store.makeDurable();
    await store.makeDurable();
    expect(flushes).toBe(2);
  });

  it("flushes the files of a new account", async () => {
    await store.close();
    rmSync(fixture.directory, { recursive: true });
    mkdirSync(fixture.directory);
    store = await open();
    await store.makeDurable();
    expect(flushes).toBe(2);
  });

  it("flushes again what could not be flushed", async () => {
    store.nextUidValidity();
    onFlush = () => Promise.reject(new Error("EIO"));
    rmSync(fixture.directory, { recursive: true });
    await expect(store.makeDurable()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    mkdirSync(fixture.directory);
    onFlush = async () => undefined;
    await store.makeDurable();
    expect(flushes).toBe(3);
  });

  it("is done by the writer where nobody helps", async () => {
    onFlush = () => Promise.reject(new Error("no sync"));
    store.writeSetting("a", "b");
    await store.makeDurable();
    await store.makeDurable();
    expect(flushes).toBe(2);
  });

  it("is over only when the flush is", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    onFlush = () => promise;
    store.writeSetting("a", "b");
    let isOver = false;
    const durable = store.makeDurable().then(() => {
      isOver = true;
    });
    await store.loadMessages(inbox);
    expect(isOver).toBe(false);
    resolve();
    await durable;
  });
});
