/** Mail that others drop into a mailbox's folder. */
import { appendFileSync, existsSync, readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { modSeq, uid } from "../../src/mail/ids.ts";
import { withCrlf } from "../../src/store/bare-lf.ts";
import type { AccountStore, MailboxRecord } from "../../src/store/store.ts";
import { addMailbox, createFixture, readAll, type StoreFixture } from "./fixture.ts";

let fixture: StoreFixture;
let store: AccountStore;
let inbox: MailboxRecord;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open({ durable: true });
  inbox = addMailbox(store);
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

const pathOf = (name: string): string => join(fixture.directory, "Maildir", "new", name);

/** As a delivery agent does. */
function drop(name: string, text: string): void {
  writeFileSync(join(fixture.directory, "dropped"), text);
  utimesSync(join(fixture.directory, "dropped"), 1_600_000_000, 1_600_000_000);
  renameSync(join(fixture.directory, "dropped"), pathOf(name));
}

async function adoptAll(): Promise<number> {
  const { dropped } = await store.readDropped(inbox);
  if (dropped.length > 0) await store.adoptDropped(inbox, dropped, { uid: uid(500), modSeq: modSeq(1n) });
  return dropped.length;
}

describe("adoptDropped", () => {
  it("removes a file whose message is there already, and adds it no second time", async () => {
    drop("1.M1P1.there", "Subject: a\n\n");
    expect(await adoptAll()).toBe(1);
    // As a kill just before the file's removal leaves it.
    drop("1.M1P1.there", "Subject: a\n\n");
    store.writeSetting(`adopting:${inbox.id}`, JSON.stringify([[500, "new/1.M1P1.there"]]));
    await store.close();
    store = await fixture.open({ durable: true });
    expect(await store.loadMessages(inbox)).toMatchObject([{ presence: "full", uid: 500 }]);
    expect(await adoptAll()).toBe(0);
    expect(existsSync(pathOf("1.M1P1.there"))).toBe(false);
  });

  it("adds a file whose message had not come yet", async () => {
    drop("1.M1P1.there", "Subject: a\n\n");
    // As a kill just after the intent was written leaves it.
    store.writeSetting(`adopting:${inbox.id}`, JSON.stringify([[499, "new/1.M1P1.there"]]));
    expect(await adoptAll()).toBe(1);
    expect(existsSync(pathOf("1.M1P1.there"))).toBe(false);
  });

  it("waits for a file that may still be written", async () => {
    writeFileSync(pathOf("1.M1P1.there"), "Subject: ha");
    expect(await store.readDropped(inbox)).toEqual({ dropped: [], waiting: true });
    appendFileSync(pathOf("1.M1P1.there"), "lf\n\n");
    utimesSync(pathOf("1.M1P1.there"), 1_600_000_000, 1_600_000_000);
    const { dropped } = await store.readDropped(inbox);
    expect(dropped[0]?.incoming.sizeBytes).toBe("Subject: half\r\n\r\n".length);
    dropped[0]?.incoming.discard();
  });

  it("does not remove a file that was written to since", async () => {
    drop("1.M1P1.there", "Subject: a\n\n");
    const { dropped } = await store.readDropped(inbox);
    appendFileSync(pathOf("1.M1P1.there"), "more\n");
    await store.adoptDropped(inbox, dropped, { uid: uid(500), modSeq: modSeq(1n) });
    expect(readFileSync(pathOf("1.M1P1.there"), "utf8")).toBe("Subject: a\n\nmore\n");
  });

  it("keeps every byte of a big message", async () => {
    const text = `Subject: a\n\n${"x".repeat((256 << 10) - 13)}\r\n${"line\n".repeat(100_000)}`;
    drop("1.M1P1.there", text);
    const { dropped } = await store.readDropped(inbox);
    const [message] = await store.adoptDropped(inbox, dropped, { uid: uid(500), modSeq: modSeq(1n) });
    const expected = text.replaceAll(/\r?\n/g, "\r\n");
    expect(message && (await readAll(store, inbox, message))).toBe(expected);
    expect(message).toMatchObject({ sizeBytes: expected.length });
  });
});

describe("withCrlf", () => {
  it("gives the same however the bytes are split", () => {
    const bytes = fc.array(fc.constantFrom("\r", "\n", "a"), { maxLength: 20 });
    fc.assert(
      fc.property(bytes, fc.nat(20), (list, at) => {
        const text = list.join("");
        const [head, tail] = [Buffer.from(text.slice(0, at)), Buffer.from(text.slice(at))];
        const joined = Buffer.concat([withCrlf(head, 0), withCrlf(tail, head.at(-1) ?? 0)]);
        expect(joined.toString()).toBe(text.replaceAll(/(?<!\r)\n/g, "\r\n"));
      }),
    );
  });
});
