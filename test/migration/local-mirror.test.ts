/** A change of names of a local account that was cut off: no mailbox is lost, whatever was written. */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LocalAccount, name, openLocalAccount } from "./local-fixture.ts";

let account: LocalAccount;

beforeEach(async () => {
  account = await openLocalAccount();
});
afterEach(() => account.remove());

describe("a RENAME", () => {
  beforeEach(async () => {
    await account.create("A", "A.b");
    for (const to of ["A", "A.b"]) await account.append(to, "Subject: x\r\n\r\n");
  });

  it("that was cut off between two mailboxes is finished at the next opening", async () => {
    const renamed = [
      { from: "A", to: "B" },
      { from: "A.b", to: "B.b" },
    ];
    account.mirror.store.writeSetting("renaming", JSON.stringify(renamed));
    const [first] = account.mirror.store.mailboxes().filter((record) => record.name === "A");
    account.mirror.store.renameMailbox(first!.id, name("B"));
    await account.reopen();
    expect(await account.listed()).toEqual(["B", "B.b", "INBOX"]);
    expect(await account.contents()).toEqual(["B.b: 1", "B: 1", "INBOX: 0"]);
    await account.create("C");
    expect(await account.contents()).toEqual(["B.b: 1", "B: 1", "C: 0", "INBOX: 0"]);
  });

  it("and a CREATE and an APPEND at the same time all hold", async () => {
    await account.mirror.all();
    await Promise.all([
      account.append("A", "Subject: y\r\n\r\n"),
      account.mirror.authority.changeName({ kind: "RENAME", name: name("A"), to: name("B") }),
      account.create("C"),
    ]);
    expect(await account.listed()).toEqual(["B", "B.b", "C", "INBOX"]);
    expect(await account.contents()).toEqual(["B.b: 1", "B: 2", "C: 0", "INBOX: 0"]);
    await account.reopen();
    expect(await account.contents()).toEqual(["B.b: 1", "B: 2", "C: 0", "INBOX: 0"]);
  });
});

it("a CREATE that was cut off after the listing was written is there at the next opening", async () => {
  const listing = await account.mirror.listing(new AbortController().signal);
  const entry = { name: name("New"), separator: ".", attributes: [] };
  account.mirror.store.writeSetting(
    "listing",
    JSON.stringify({ ...listing, mailboxes: [...listing.mailboxes, entry] }),
  );
  await account.reopen();
  await account.append("New", "Subject: x\r\n\r\n");
  expect(await account.contents()).toEqual(["INBOX: 0", "New: 1"]);
});

describe("names that change while somebody looks", () => {
  it("a SELECT during a DELETE leaves nothing behind for a CREATE of that name", async () => {
    await account.create("B");
    await account.append("B", "Subject: x\r\n\r\n");
    const { promise: free, resolve } = Promise.withResolvers<void>();
    const busy = (await account.mailbox("B")).state.exclusive(() => free);
    const deleted = account.mirror.authority.changeName({ kind: "DELETE", name: name("B") });
    await delay(10);
    const selected = account.mailbox("B").catch(() => undefined);
    await delay(30);
    resolve();
    await Promise.all([busy, deleted, selected]);
    await account.create("B");
    expect(await account.append("B", "Subject: y\r\n\r\n")).toBe(1);
    expect(await account.contents()).toEqual(["B: 1", "INBOX: 0"]);
  });

  it.each([0, 1, 2, 3, 4, 5])("a SELECT %i turns after the begin of a RENAME", async (turns) => {
    await account.create("A");
    await account.append("A", "Subject: x\r\n\r\n");
    await account.reopen();
    const renamed = account.mirror.authority.changeName({ kind: "RENAME", name: name("A"), to: name("B") });
    for (let turn = 0; turn < turns; turn++) await undefined;
    const selected = await account.mailbox("A").catch(() => undefined);
    await renamed;
    await account.append("B", "Subject: y\r\n\r\n");
    if (selected) await account.append("A", "Subject: y\r\n\r\n").catch(() => undefined);
    await account.create("C");
    expect(await account.contents()).toEqual(["B: 2", "C: 0", "INBOX: 0"]);
  });
});
