/** sidecar.db missing, damaged or from a backup: what clients were told is the same afterwards. */
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { encodedMailboxName, modSeq, uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../../src/store/store.ts";
import { addMailbox, createFixture, fileAndSave, type StoreFixture, toFile } from "./fixture.ts";

let fixture: StoreFixture;
beforeEach(() => {
  fixture = createFixture();
});
afterEach(() => fixture.remove());

const pathOf = (...names: string[]): string => join(fixture.directory, ...names);
const remove = (name: string): void => {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(pathOf(`${name}${suffix}`), { force: true });
};
/** The first 26 have letters. */
const keywords = Array.from({ length: 28 }, (_, at) => `word${at}`);
const sent = encodedMailboxName("INBOX/Sent &- old.stuff");

async function checkpoint(store: AccountStore, record: MailboxRecord): Promise<void> {
  const messages = await store.loadMessages(record);
  await store.checkpoint(record, { revision: 1, all: () => messages });
}

async function fill(store: AccountStore): Promise<void> {
  const inbox = addMailbox(store);
  const gone = addMailbox(store, { name: "Gone", validity: 7 });
  const other = store.addMailbox({
    name: sent,
    separator: "/",
    attributes: ["\\Sent"],
    subscribed: true,
    prefix: "INBOX/",
  });
  await store.dropMailbox(gone.id);
  const saved = { ...other, uidValidity: inbox.uidValidity, uidNext: uid(40), highestModSeq: modSeq(77n) };
  store.saveMailbox(saved);
  await fileAndSave(store, inbox, [
    toFile(1, "Subject: one\r\n\r\n1\r\n", {
      flags: flagsOf(["\\Seen", ...keywords]),
      internalDate: { epochSeconds: 1_400_000_000, zoneMinutes: 330 },
      modSeq: modSeq(5n),
    }),
    toFile(9, "Subject: nine\r\n\r\n9\r\n", { modSeq: modSeq(1n << 40n) }),
  ]);
  await fileAndSave(store, saved, [toFile(3, "Subject: three\r\n\r\n3\r\n")]);
  store.expunges.start(inbox.id, modSeq(2n));
  store.expunges.add(inbox.id, [uid(4), uid(5)], modSeq(4n));
  store.writeSetting("some", "value");
  const entry = { sizeBytes: 99, isRemoved: false, problem: undefined, print: "print" };
  store.maildrop.change({
    removed: [],
    put: [{ ...entry, position: 3, uidl: uidl("u-1"), message: { mailbox: inbox.id, uid: uid(1) } }],
  });
  store.maildrop.noteListedUpTo(inbox.id, uid(2));
  for (const record of [inbox, saved]) await checkpoint(store, record);
}

interface Told {
  readonly mailboxes: readonly MailboxRecord[];
  readonly messages: readonly (readonly StoredMessage[])[];
  readonly rest: unknown;
}

async function told(store: AccountStore): Promise<Told> {
  const mailboxes = store.mailboxes();
  const messages: StoredMessage[][] = [];
  for (const record of mailboxes) messages.push(await store.loadMessages(record));
  const [inbox] = mailboxes;
  const rest = {
    expunged: inbox && store.expunges.since(inbox.id, modSeq(2n)),
    setting: store.readSetting("some"),
    maildrop: await store.maildrop.entries(),
    listedUpTo: inbox && store.maildrop.listedUpTo(inbox.id),
  };
  return { mailboxes, messages, rest };
}

/** What is told before and after `damage`. */
async function across(durable: boolean, damage: () => void): Promise<readonly [Told, Told]> {
  const store = await fixture.open({ durable });
  await fill(store);
  const before = await told(store);
  await store.close();
  damage();
  return [before, await reopened(durable)];
}

async function reopened(durable: boolean): Promise<Told> {
  const store = await fixture.open({ durable });
  try {
    return await told(store);
  } finally {
    await store.close();
  }
}

const damages: Readonly<Record<string, (path: string) => void>> = {
  missing: () => remove("sidecar.db"),
  "cut off to nothing": (path) => truncateSync(path, 0),
  "cut off": (path) => truncateSync(path, 9_000),
  "garbage all over": (path) => writeFileSync(path, Buffer.alloc(30_000, 0xa5)),
  "garbage inside its pages": (path) => {
    const bytes = readFileSync(path);
    for (let at = 4096; at < bytes.length; at += 4096) bytes.fill(0xa5, at, at + 700);
    writeFileSync(path, bytes);
  },
};

describe.each([true, false])("with its index, a sidecar (local: %s)", (durable) => {
  it.each(Object.keys(damages))("that is %s is made again as it was", async (how) => {
    const [before, after] = await across(durable, () => damages[how]?.(pathOf("sidecar.db")));
    expect(after).toEqual(before);
    expect(await reopened(durable)).toEqual(before);
    rmSync(pathOf("index.db"));
    expect({ ...(await reopened(durable)), mailboxes: [] }).toEqual({ ...before, mailboxes: [] });
  });
});

it("gives no id a second time that a mailbox had which is gone", async () => {
  await across(true, () => remove("sidecar.db"));
  const store = await fixture.open({ durable: true });
  expect(addMailbox(store, { name: "New", validity: 9 }).id).toBe(4);
  await store.close();
});

it.each(["while it was closed", "while it was open"])(
  "a sidecar from a backup catches up (%s)",
  async (when) => {
    let store = await fixture.open({ durable: true });
    await fill(store);
    if (when === "while it was closed") {
      await store.close();
      copyFileSync(pathOf("sidecar.db"), pathOf("backup"));
      store = await fixture.open({ durable: true });
    } else {
      await store.makeDurable();
      copyFileSync(pathOf("sidecar.db"), pathOf("backup"));
    }
    const [inbox] = store.mailboxes();
    if (!inbox) throw new Error("no INBOX");
    const next = { ...inbox, uidNext: uid(1001), highestModSeq: modSeq((1n << 40n) + 1n) };
    store.saveMailbox(next);
    await fileAndSave(store, next, [
      toFile(1000, "Subject: new\r\n\r\nnew\r\n", {
        internalDate: { epochSeconds: 1_500_000_000, zoneMinutes: -90 },
      }),
    ]);
    const made = addMailbox(store, { name: "Made", validity: 11 });
    await fileAndSave(store, made, [toFile(1, "Subject: made\r\n\r\nmade\r\n")]);
    store.expunges.add(inbox.id, [uid(6)], modSeq(6n));
    const before = await told(store);
    await store.close();
    copyFileSync(pathOf("backup"), pathOf("sidecar.db"));
    expect(await reopened(true)).toEqual(before);
  },
);

it("where another sidecar is put back, no file counts as a message of it", async () => {
  let store = await fixture.open();
  await fill(store);
  await store.close();
  copyFileSync(pathOf("sidecar.db"), pathOf("backup"));
  for (const name of ["sidecar.db", "index.db"]) remove(name);
  store = await fixture.open();
  const first = addMailbox(store, { name: "First", validity: 3 });
  await fileAndSave(store, first, [toFile(1, "Subject: first\r\n\r\n1\r\n")]);
  await store.close();
  copyFileSync(pathOf("backup"), pathOf("sidecar.db"));
  store = await fixture.open();
  const [inbox] = store.mailboxes();
  if (!inbox) throw new Error("no INBOX");
  expect(await store.loadMessages(inbox)).toEqual([]);
  expect(readdirSync(pathOf("Maildir", "cur"))).toEqual([]);
  const later = await store.resetMailbox(inbox.id, uidValidity(99));
  expect(later.uidValidity).toBe(99);
  await store.close();
});

it("an index from a backup takes no flag back", async () => {
  let store = await fixture.open({ durable: true });
  await fill(store);
  await store.close();
  copyFileSync(pathOf("index.db"), pathOf("backup"));
  store = await fixture.open({ durable: true });
  const [inbox] = store.mailboxes();
  const [first] = inbox ? await store.loadMessages(inbox) : [];
  if (!inbox || first?.presence !== "full") throw new Error("no message");
  store.saveMessages(inbox, [{ ...first, flags: flagsOf(["\\Flagged"]) }]);
  const { messages } = await told(store);
  await store.close();
  copyFileSync(pathOf("backup"), pathOf("index.db"));
  expect((await reopened(true)).messages).toEqual(messages);
});

describe("without its index, of mail that has no other home", () => {
  const removeBoth = (): void => {
    for (const name of ["sidecar.db", "index.db"]) remove(name);
  };
  const shownOf = ({ mailboxes, messages }: Told) =>
    mailboxes.map(({ id, name, separator, attributes, directory, uidValidity, uidNext }, at) => ({
      ...{ id, name, separator, attributes, directory, uidValidity, uidNext },
      messages: messages[at]?.map((message) =>
        message.presence === "full"
          ? [message.uid, message.fileName, message.internalDate.epochSeconds, message.sizeBytes]
          : message,
      ),
    }));

  it("a sidecar is made from the Maildir", async () => {
    const [before, after] = await across(true, removeBoth);
    expect(shownOf(after)).toEqual(shownOf(before));
    const [highest, others] = [after, before].map(({ mailboxes }) => mailboxes[0]?.highestModSeq ?? 0n);
    expect(highest).toBeGreaterThan(others ?? 0n);
    const entry = { position: 3, uidl: "u-1", message: { mailbox: 1, uid: 1 } };
    expect(after.rest).toMatchObject({ maildrop: [entry], listedUpTo: 2 });
    expect(shownOf(await reopened(true))).toEqual(shownOf(before));
  });

  it("names are those of the folders where nothing else tells them", async () => {
    const [before, after] = await across(true, () => {
      removeBoth();
      rmSync(pathOf("mailboxes.json"));
    });
    const names = after.mailboxes.map(({ name }) => name);
    expect(names).toEqual(["INBOX", "Sent &- old.stuff"]);
    expect(after.messages).toMatchObject(
      before.messages.map((some) => some.map((one) => ({ uid: one.uid }))),
    );
  });

  it("no UID is given twice where dovecot-uidlist is gone, too", async () => {
    const [before, after] = await across(true, () => {
      removeBoth();
      rmSync(pathOf("Maildir", "dovecot-uidlist"));
    });
    const [inbox] = after.mailboxes;
    expect(inbox?.uidValidity).toBe(before.mailboxes[0]?.uidValidity);
    expect(inbox?.uidNext).toBeGreaterThanOrEqual(1000);
    expect(after.messages[0]?.map((one) => one.uid)).toEqual([1, 9]);
  });

  it("a mailbox that a sidecar from a backup does not know is there", async () => {
    let store = await fixture.open({ durable: true });
    addMailbox(store);
    await store.close();
    copyFileSync(pathOf("sidecar.db"), pathOf("backup"));
    store = await fixture.open({ durable: true });
    const made = addMailbox(store, { name: "Made", validity: 11 });
    await fileAndSave(store, made, [toFile(1, "Subject: made\r\n\r\nmade\r\n")]);
    await store.close();
    remove("index.db");
    copyFileSync(pathOf("backup"), pathOf("sidecar.db"));
    const after = await reopened(true);
    expect(after.mailboxes).toMatchObject([{ name: "INBOX" }, { name: "Made", uidValidity: 11 }]);
    expect(after.messages[1]).toMatchObject([{ uid: 1, presence: "full" }]);
  });

  it("where another sidecar is put back, a mailbox made since is there", async () => {
    await across(true, removeBoth);
    copyFileSync(pathOf("sidecar.db"), pathOf("backup"));
    removeBoth();
    const store = await fixture.open({ durable: true });
    const made = addMailbox(store, { name: "Made", validity: 11 });
    await fileAndSave(store, made, [toFile(1, "Subject: made\r\n\r\nmade\r\n")]);
    await store.close();
    copyFileSync(pathOf("backup"), pathOf("sidecar.db"));
    const after = await reopened(true);
    expect(after.mailboxes.map(({ name }) => name)).toContain("Made");
    expect(after.messages.at(-1)).toMatchObject([{ uid: 1, presence: "full" }]);
  });

  it("a damaged sidecar is kept for people", async () => {
    await across(true, () => truncateSync(pathOf("sidecar.db"), 0));
    expect(readdirSync(fixture.directory).some((name) => name.startsWith("sidecar.db.damaged-"))).toBe(true);
  });
});
