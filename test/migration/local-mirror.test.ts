/** A change of names of a local account that was cut off: no mailbox is lost, whatever was written. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { type EncodedMailboxName, encodedMailboxName } from "../../src/mail/ids.ts";
import { beginLocalAccount, openLocalMirror } from "../../src/migration/local-mirror.ts";
import type { Mirror } from "../../src/migration/mirror.ts";
import { createFixture, type StoreFixture } from "../store/fixture.ts";

let fixture: StoreFixture;
let mirror: Mirror;
const { signal } = new AbortController();
const name = (text: string): EncodedMailboxName => encodedMailboxName(text);

async function open(): Promise<void> {
  const store = await fixture.open({ durable: true });
  if (store.mailboxes().length === 0) beginLocalAccount(store);
  mirror = await openLocalMirror({ store, logger: silentLogger });
}

async function append(to: string, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  const incoming = mirror.store.receive(bytes.length);
  void incoming.write(bytes);
  await mirror.authority.append(name(to), { incoming, flags: [], internalDate: undefined });
  incoming.discard();
}

const contents = async (): Promise<string[]> => {
  const all = await mirror.all();
  return all.map(({ state }) => `${state.record.name}: ${state.table.uids.length}`).sort();
};
const listed = async (): Promise<string[]> =>
  (await mirror.listing(signal)).mailboxes.map((entry) => entry.name).sort();

beforeEach(async () => {
  fixture = createFixture();
  await open();
});
afterEach(async () => {
  await mirror.close();
  fixture.remove();
});

describe("a RENAME", () => {
  beforeEach(async () => {
    for (const to of ["A", "A.b"]) {
      await mirror.authority.changeName({ kind: "CREATE", name: name(to) });
      await append(to, "Subject: x\r\n\r\n");
    }
  });

  it("that was cut off between two mailboxes is finished at the next opening", async () => {
    const renamed = [
      { from: "A", to: "B" },
      { from: "A.b", to: "B.b" },
    ];
    mirror.store.writeSetting("renaming", JSON.stringify(renamed));
    const [first] = mirror.store.mailboxes().filter((record) => record.name === "A");
    mirror.store.renameMailbox(first!.id, name("B"));
    await mirror.close();
    await open();
    expect(await listed()).toEqual(["B", "B.b", "INBOX"]);
    expect(await contents()).toEqual(["B.b: 1", "B: 1", "INBOX: 0"]);
    await mirror.authority.changeName({ kind: "CREATE", name: name("C") });
    expect(await contents()).toEqual(["B.b: 1", "B: 1", "C: 0", "INBOX: 0"]);
  });

  it("and a CREATE and an APPEND at the same time all hold", async () => {
    await mirror.all();
    await Promise.all([
      append("A", "Subject: y\r\n\r\n"),
      mirror.authority.changeName({ kind: "RENAME", name: name("A"), to: name("B") }),
      mirror.authority.changeName({ kind: "CREATE", name: name("C") }),
    ]);
    expect(await listed()).toEqual(["B", "B.b", "C", "INBOX"]);
    expect(await contents()).toEqual(["B.b: 1", "B: 2", "C: 0", "INBOX: 0"]);
    await mirror.close();
    await open();
    expect(await contents()).toEqual(["B.b: 1", "B: 2", "C: 0", "INBOX: 0"]);
  });
});

it("a CREATE that was cut off after the listing was written is there at the next opening", async () => {
  const listing = await mirror.listing(signal);
  const entry = { name: name("New"), separator: ".", attributes: [] };
  mirror.store.writeSetting(
    "listing",
    JSON.stringify({ ...listing, mailboxes: [...listing.mailboxes, entry] }),
  );
  await mirror.close();
  await open();
  await append("New", "Subject: x\r\n\r\n");
  expect(await contents()).toEqual(["INBOX: 0", "New: 1"]);
});
