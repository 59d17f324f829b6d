import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { oddAccount, plainAccount } from "./account-plans.ts";
import { type Dovecot, startDovecot } from "./dovecot.ts";
import { imapOverStdio } from "./dovecot-stdio.ts";
import { type AccountPlan, fillAccount, type MailboxPlan, wireName } from "./filler.ts";
import { addKeywords, fillOverImap } from "./filler-imap.ts";
import { type AccountSnapshot, takeSnapshot } from "./snapshot.ts";
import { diffSnapshots } from "./snapshot-diff.ts";

const namespace = { separator: "/", prefix: "", listEscape: true } as const;
const plan = oddAccount({
  seed: 5,
  separator: "/",
  listEscape: true,
  largeBytes: 30 << 20,
  manyMessages: 2000,
});

describe("an odd account in a Maildir", () => {
  let dovecot: Dovecot;
  let snapshot: AccountSnapshot;

  beforeAll(async () => {
    dovecot = await startDovecot({
      users: ["bob"],
      namespace: { ...namespace, specialUse: plan.specialUse },
      timeZone: "Asia/Kolkata",
      started: false,
    });
    await fillAccount(dovecot, "bob", plan);
    await dovecot.start();
    const client = await dovecot.client("bob");
    snapshot = await takeSnapshot(client);
    client.close();
  });
  afterAll(() => dovecot.close());

  test("has every mailbox with its UIDVALIDITY and UIDNEXT", () => {
    const expected = plan.mailboxes.map((mailbox) => [
      wireName(mailbox.path, namespace),
      String(mailbox.uidValidity),
      String(mailbox.uidNext ?? Math.max(0, ...uidsOf(mailbox)) + 1),
    ]);
    const seen = [...snapshot.mailboxes].map(([name, { status }]) => [
      name,
      status.get("UIDVALIDITY"),
      status.get("UIDNEXT"),
    ]);
    expect(seen.sort()).toEqual(expected.sort());
  });

  test("has every message with its UID, flags, keywords, size and date", () => {
    for (const mailbox of plan.mailboxes) {
      const { messages } = snapshot.mailboxes.get(wireName(mailbox.path, namespace))!;
      expect([...messages.keys()]).toEqual(uidsOf(mailbox));
      for (const message of mailbox.messages()) {
        const seen = messages.get(message.uid)!;
        expect(seen.FLAGS).toBe([...message.flags].sort().join(" "));
        expect(Date.parse(JSON.parse(seen.INTERNALDATE))).toBe(message.epochSeconds * 1000);
        expect(seen.INTERNALDATE).toContain("+0530");
        const wire = Buffer.from(message.bytes.toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1");
        expect(Number(seen["RFC822.SIZE"])).toBe(wire.length);
        expect(seen["BODY[]"]).toMatch(new RegExp(` ${wire.length}$`));
      }
    }
  });

  test("shows \\Recent, special use and a subscription to what does not exist", () => {
    const recent = [...plan.mailboxes[0]!.messages()].filter((message) => message.recent).length;
    expect(recent).toBeGreaterThan(0);
    expect(snapshot.mailboxes.get("INBOX")?.status.get("RECENT")).toBe(String(recent));
    expect(snapshot.list.get("Sent")).toContain("\\Sent");
    expect([...snapshot.lsub.keys()]).toContain("Gone/Folder");
    expect([...snapshot.list.keys()]).toEqual(expect.arrayContaining(["a.b", "A&-B", "~/~x", "back\\slash"]));
  });

  test("looks the same again, after a restart, in a copy without a daemon, and to doveadm", async () => {
    await dovecot.stop();
    await expect(dovecot.client("bob")).rejects.toThrow();
    await dovecot.start();
    const client = await dovecot.client("bob");
    expect(diffSnapshots(snapshot, await takeSnapshot(client))).toEqual([]);
    client.close();

    const stdio = await imapOverStdio(dovecot.maildirOf("bob"), {
      ...namespace,
      timeZone: "Asia/Kolkata",
    });
    expect(stdio.greeting.toString()).toMatch(/^\* PREAUTH /);
    const direct = await takeSnapshot(stdio);
    stdio.close();
    expect(diffSnapshots(snapshot, direct, { ignore: ["LIST", "LSUB"] })).toEqual([]);

    const uids = await dovecot.doveadm("-f", "tab", "fetch", "-u", "bob", "uid", "mailbox", "High UIDs");
    expect(uids.trim().split("\n").slice(1)).toEqual(["1", "2147483647", "2147483648", "4294967290"]);
    expect(await dovecot.errors()).toEqual([]);
  });

  test("differences are told by mailbox, UID and item", async () => {
    const client = await dovecot.client("bob");
    await client.ok("SELECT Many");
    const [uid] = uidsOf(plan.mailboxes.at(-1)!);
    await client.ok(`UID STORE ${uid} FLAGS (changed)`);
    await client.ok("CREATE New");
    const changed = await takeSnapshot(client);
    client.close();
    expect(diffSnapshots(snapshot, changed)).toEqual([
      expect.stringMatching(/^LIST New: absent \| /),
      expect.stringMatching(/^Many UNSEEN: /),
      `Many UID ${uid} FLAGS: \\Seen | changed`,
      "New: mailbox only in the second",
    ]);
  });
});

test("two runs of a plan are equal, another seed differs", () => {
  const digest = (account: AccountPlan): string =>
    JSON.stringify(account.mailboxes.map((mailbox) => [...mailbox.messages()]));
  expect(digest(oddAccount({ seed: 1 }))).toBe(digest(oddAccount({ seed: 1 })));
  expect(digest(oddAccount({ seed: 1 }))).not.toBe(digest(oddAccount({ seed: 2 })));
});

test("a prefixed namespace, plain messages with large ones among them, POP3 fields", async () => {
  const prefixed = { separator: ".", prefix: "INBOX.", listEscape: false } as const;
  const account = plainAccount({
    messages: 300,
    sizeBytes: 500,
    large: { count: 2, sizeBytes: 100_000 },
    mailboxes: 3,
  });
  const inbox = account.mailboxes[0]!;
  const withUidls = [...inbox.messages()].map((message, index) => ({
    ...message,
    uidl: `uidl-${message.uid}`,
    pop3Order: 500 - index,
  }));
  const mailboxes = [{ ...inbox, messages: () => withUidls }, ...account.mailboxes.slice(1)];
  const dovecot = await startDovecot({ users: ["al"], namespace: prefixed, tls: true, started: false });
  try {
    await fillAccount(dovecot, "al", { ...account, mailboxes });
    await dovecot.start();
    const client = await dovecot.client("al");
    const { mailboxes: seen, lsub } = await takeSnapshot(client);
    client.close();
    expect([...seen.keys()].sort()).toEqual(["INBOX", "INBOX.Folder 1", "INBOX.Folder 2"]);
    expect([...seen.values()].reduce((sum, { messages }) => sum + messages.size, 0)).toBe(300);
    expect([...lsub.keys()].sort()).toEqual([...seen.keys()].sort());
    const sizes = [...seen.get("INBOX")!.messages.values()].map((message) => Number(message["RFC822.SIZE"]));
    expect(sizes.filter((size) => size > 90_000)).toHaveLength(2);
    const uidls = await dovecot.doveadm(
      "-f",
      "flow",
      "fetch",
      "-u",
      "al",
      "pop3.uidl pop3.order",
      "mailbox",
      "INBOX",
    );
    expect(uidls.split("\n")[0]).toBe(`pop3.uidl=uidl-${withUidls[0]?.uid} pop3.order=500`);
    expect(await dovecot.errors()).toEqual([]);
  } finally {
    await dovecot.close();
  }
});

test("over IMAP, with dates of other zones and more keywords than a Maildir holds", async () => {
  const dovecot = await startDovecot({ users: ["eve"], protocols: ["imap"] });
  try {
    const client = await dovecot.client("eve");
    const small = oddAccount({ seed: 3 });
    await fillOverImap(client, small, dovecot.namespace);
    const keywords = await addKeywords(client, "INBOX", 40);
    const { mailboxes } = await takeSnapshot(client);
    client.close();
    const inbox = [...mailboxes.get("INBOX")!.messages.values()];
    const written = [...small.mailboxes[0]!.messages()].filter(({ bytes }) => bytes.length > 0);
    expect(inbox).toHaveLength(written.length);
    const dates = inbox.map((message) => Date.parse(JSON.parse(message.INTERNALDATE)) / 1000);
    expect(dates).toEqual(written.map((message) => message.epochSeconds));
    const flags = new Set(inbox.flatMap((message) => message.FLAGS.split(" ")));
    expect([...flags]).toEqual(expect.arrayContaining(keywords));
    expect(await dovecot.errors()).toEqual([]);
  } finally {
    await dovecot.close();
  }
});

function uidsOf(mailbox: MailboxPlan): number[] {
  return [...mailbox.messages()].map((message) => message.uid);
}
