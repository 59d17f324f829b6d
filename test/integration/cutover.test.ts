/** From the cutover on the account is Mailferry's own, and no client notices. */
import { describe, expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { ignoredOf, legacyKinds } from "../helpers/legacy-server.ts";
import { plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";
import { repeating } from "../helpers/repeating.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

describe.each(legacyKinds)("$name", (kind) => {
  it("shows the same after the cutover, with the legacy server stopped", async () => {
    const legacy = await kind.start([user]);
    onTestFinished(() => legacy.close());
    const straight = await legacy.client(user);
    await straight.ok(`CREATE ${kind.layout.prefix}Work`);
    for (let index = 0; index < 20; index++)
      await straight.ok(
        `APPEND INBOX (\\Seen) `,
        Buffer.from(`Subject: ${index}\r\n\r\n${"x".repeat(index)}\r\n`),
      );
    const mailferry = await startMailferry({
      legacy,
      extra: { listen: plainListeners },
      legacyExtra: { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
    });
    onTestFinished(() => mailferry.close());
    const client = await mailferry.client(user);
    const before = await takeSnapshot(client);
    const { stdout, stderr, code } = await runCli(["cutover", "-c", mailferry.configFile, user]);
    expect(stderr + stdout).toContain("alice: local");
    expect(code).toBe(0);
    console.log(kind.name, stdout);
    await legacy.close();
    expect(diffSnapshots(before, await takeSnapshot(client), { ignore: ignoredOf(kind) })).toEqual([]);
    await mailferry.restart();
    const again = await mailferry.client(user);
    expect(diffSnapshots(before, await takeSnapshot(again), { ignore: ignoredOf(kind) })).toEqual([]);
  });
});

async function countOf(client: ImapClient): Promise<number> {
  const { untagged } = await client.ok("STATUS INBOX (MESSAGES)");
  return Number(/MESSAGES (\d+)/.exec(untagged.join("\n"))?.[1]);
}

it("no session is ended, and no command fails, while it happens", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 400, sizeBytes: 2_000, mailboxes: 5 }));
  await legacy.start();
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners, limits: { sessionsPerUserAndAddress: 50 } },
    legacyExtra: { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  const first = await mailferry.client(user);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  const clients = await Promise.all(Array.from({ length: 20 }, () => mailferry.client(user)));
  for (const client of clients) await client.ok("SELECT INBOX");
  const before = await countOf(first);
  const idlers = await Promise.all(clients.slice(0, 5).map((client) => client.idle()));
  const maildrop = await openMaildrop(mailferry.port("pop3"), user);
  const uidls = await maildrop.uidls();
  const working = [
    ...clients.slice(5, 10).map((client) => repeating(() => client.ok("FETCH 1:40 (UID FLAGS BODY.PEEK[])"))),
    ...clients
      .slice(10, 13)
      .map((client, index) =>
        repeating((round) =>
          client.ok(`APPEND INBOX (\\Seen) `, Buffer.from(`Subject: ${index} ${round}\r\n\r\nnew\r\n`)),
        ),
      ),
    ...clients
      .slice(13, 15)
      .map((client, index) =>
        repeating((round) => client.ok(`STORE ${index + 1}:20 ${round % 2 ? "+" : "-"}FLAGS (\\Flagged)`)),
      ),
  ];
  const { stdout, stderr, code } = await runCli(["cutover", "-c", mailferry.configFile, user]);
  expect(stderr + stdout).toContain("alice: local");
  expect(code).toBe(0);
  const straight = await legacy.client(user);
  const there = await countOf(straight);
  const appended = (await Promise.all(working.map((work) => work.stop()))).slice(5, 8);
  const expected = before + appended.reduce((sum, rounds) => sum + rounds, 0);
  console.log(stdout, "appended", appended, "at the legacy server", there);
  // What came later went to Mailferry alone.
  expect(await countOf(straight)).toBe(there);
  expect(await countOf(first)).toBe(expected);
  await Promise.all(idlers.map((idler) => idler.until(new RegExp(`\\* ${expected} EXISTS`))));
  await Promise.all(idlers.map((idler) => idler.done()));
  const views = await Promise.all(
    clients.map(async (client) => {
      await client.ok("NOOP");
      const { untagged } = await client.ok("UID SEARCH ALL");
      return untagged.join("\n");
    }),
  );
  expect(new Set(views).size).toBe(1);
  const bodies: Buffer[] = [];
  await maildrop.retrieve(1, (piece) => void bodies.push(Buffer.from(piece)) as undefined);
  expect(Buffer.concat(bodies).length).toBeGreaterThan(1_000);
  await maildrop.remove(1);
  await maildrop.quit();
  const again = await openMaildrop(mailferry.port("pop3"), user);
  const now = [...(await again.uidls()).values()];
  await again.quit();
  expect(now.slice(0, uidls.size - 1)).toEqual([...uidls.values()].slice(1));
  expect(now).toHaveLength(expected - 1);
  expect(await countOf(straight)).toBe(there);
});

it("brings over what still comes to the legacy server, once, and asks for nothing else", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 40, sizeBytes: 500, mailboxes: 2 }));
  await legacy.start();
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user);
  expect((await runCli(["cutover", "-c", mailferry.configFile, user])).stderr).toBe("");
  const before = await countOf(client);
  const straight = await legacy.client(user);
  const late = ["one", "two", "three"].map((name) => Buffer.from(`Subject: late ${name}\r\n\r\n${name}\r\n`));
  await straight.ok('APPEND INBOX (\\Flagged) "01-Oct-2020 10:00:00 +0200" ', late[0] ?? "");
  await straight.ok("APPEND INBOX ", late[1] ?? "");
  await client.ok("APPEND INBOX ", Buffer.from("Subject: own\r\n\r\nown\r\n"));
  await mailferry.restart();
  const again = await mailferry.client(user);
  await expect.poll(() => countOf(again), { timeout: 10_000 }).toBe(before + 3);
  await straight.ok("APPEND INBOX ", late[2] ?? "");
  for (let start = 0; start < 2; start++) {
    await mailferry.restart();
    const now = await mailferry.client(user);
    await expect.poll(() => countOf(now), { timeout: 10_000 }).toBe(before + 4);
    const { untagged } = await now.ok("SELECT INBOX").then(() => now.ok('UID SEARCH SUBJECT "late"'));
    expect(untagged.join("\n").match(/\d+/g)).toHaveLength(3);
  }
  const last = await mailferry.client(user);
  await last.ok("SELECT INBOX");
  const flagged = /(\d+)/.exec(
    (await last.ok('UID SEARCH FLAGGED SUBJECT "late one"')).untagged.join("\n"),
  )?.[1];
  const fetched = (await last.ok(`UID FETCH ${flagged} (INTERNALDATE BODY.PEEK[])`)).untagged.join("\n");
  expect(fetched).toContain('"01-Oct-2020 08:00:00 +0000"');
  expect(fetched).toContain(late[0]?.toString());
  expect(await countOf(straight)).toBe(before + 3);
});
