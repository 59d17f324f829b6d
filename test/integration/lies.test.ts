/** A legacy server that does not tell the truth: no client is shown another message's text, and nothing is lost. */
import { createHash } from "node:crypto";
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { type Lie, startLyingProxy } from "../helpers/lying-proxy.ts";
import { runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

/** SHA-256 of each message, by UID, as far as the server gives them. */
async function digestsOf(client: ImapClient, mailbox = "INBOX"): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const selected = await client.command(`SELECT "${mailbox}"`);
  if (selected.status !== "OK") return found;
  const { untagged } = await client.command("UID FETCH 1:* (UID BODY.PEEK[])");
  for (const response of untagged) {
    const items = fetchItems(response);
    const body = items?.get("BODY[]");
    if (!items?.has("UID") || body === undefined) continue;
    found.set(textOf(items.get("UID")), createHash("sha256").update(textOf(body), "latin1").digest("hex"));
  }
  return found;
}

/** Every so many lines that match. */
function sometimes(pattern: RegExp, every: number, change: (line: string) => string | undefined): Lie {
  let count = 0;
  return (line) => (pattern.test(line) && ++count % every === 0 ? change(line) : line);
}

const lies: readonly { readonly name: string; readonly lie: Lie }[] = [
  {
    name: "leaves UIDs out of FETCH",
    lie: sometimes(/^\* \d+ FETCH/, 5, (line) => line.replace(/UID \d+ ?/, "")),
  },
  {
    name: "tells wrong sizes",
    lie: sometimes(/RFC822\.SIZE \d+/, 4, (line) =>
      line.replace(/RFC822\.SIZE (\d+)/, (_, size) => `RFC822.SIZE ${Number(size) + 7}`),
    ),
  },
  {
    name: "names messages above EXISTS",
    lie: sometimes(/^\* \d+ FETCH/, 3, (line) => line.replace(/^\* \d+/, "* 99999")),
  },
  {
    name: "tells EXISTS out of order",
    lie: sometimes(/^\* \d+ FETCH/, 7, (line) => `* 3 EXISTS\r\n* 60 EXISTS\r\n* 2 EXISTS\r\n${line}`),
  },
  {
    name: "mixes up sequence numbers",
    lie: sometimes(/^\* \d+ FETCH/, 2, (line) => line.replace(/^\* \d+/, "* 1")),
  },
  { name: "leaves messages out of FETCH", lie: sometimes(/^\* \d+ FETCH [^{]*\r\n$/, 4, () => undefined) },
  {
    name: "says that messages were expunged which are there",
    lie: sometimes(/^\* \d+ FETCH/, 9, (line) => `* 1 EXPUNGE\r\n${line}`),
  },
];

it("that changes UIDVALIDITY with each session: its mailbox is not migrated further, until somebody says so", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 60, sizeBytes: 800 }));
  await legacy.start();
  const truth = await digestsOf(await legacy.client(user));
  const proxy = await startLyingProxy(legacy.ports.imap);
  onTestFinished(() => proxy.close());
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
  });
  onTestFinished(() => mailferry.close());
  proxy.lie = (line, connection) => line.replace(/UIDVALIDITY \d+/, `UIDVALIDITY ${1_000 + connection}`);
  for (let session = 0; session < 4; session++) {
    const seen = await mailferry
      .client(user)
      .then(digestsOf)
      .catch(() => new Map<string, string>());
    for (const [uid, digest] of seen) expect(digest).toBe(truth.get(uid));
    await mailferry.restart();
  }
  proxy.lie = undefined;
  const client = await mailferry.client(user);
  const run = (command: string, ...options: string[]) =>
    runCli([command, "-c", mailferry.configFile, user, ...options]);
  await client.command("SELECT INBOX");
  expect((await run("migrate")).stdout).toContain("changed UIDVALIDITY");
  expect((await run("status")).stdout).toContain("changed UIDVALIDITY");
  expect((await run("deletions", "--accept")).stdout).toContain("the migration goes on");
  expect((await run("migrate")).code).toBe(0);
  expect((await run("verify")).code).toBe(0);
  expect(await digestsOf(await mailferry.client(user))).toEqual(truth);
});

it("that gives UIDVALIDITY 0: its mailbox is served, not migrated, and `status` says which", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 60, sizeBytes: 800, mailboxes: 2 }));
  await legacy.start();
  const straight = await legacy.client(user);
  const truth = await digestsOf(straight, "Folder 1");
  expect(truth.size).toBe(30);
  const proxy = await startLyingProxy(legacy.ports.imap);
  onTestFinished(() => proxy.close());
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
  });
  onTestFinished(() => mailferry.close());
  proxy.lie = (line) => line.replace("UIDVALIDITY 1400000001", "UIDVALIDITY 0");
  const run = (command: string) => runCli([command, "-c", mailferry.configFile, user]);

  const client = await mailferry.client(user);
  const first = await validityOf(client, "Folder 1");
  expect(first).toBeGreaterThan(0);
  expect(await digestsOf(client, "Folder 1")).toEqual(truth);
  expect((await client.ok('STATUS "Folder 1" (MESSAGES UIDVALIDITY)')).untagged.join("")).toContain(
    `MESSAGES 30 UIDVALIDITY ${first}`,
  );
  const migrated = await run("migrate");
  expect(migrated.code).toBe(1);
  expect(migrated.stdout).toContain("Folder 1: the old server does not tell a UIDVALIDITY above 0");
  const { stdout: status } = await run("status");
  expect(status).toContain("mirroring");
  expect(status).toMatch(/INBOX +30 +30/);
  expect((await run("verify")).code).toBe(1);
  expect((await runCli(["deletions", "-c", mailferry.configFile, user, "--accept"])).code).toBe(0);

  // Clients work there, and see what others do.
  await client.ok("STORE 1 +FLAGS.SILENT (\\Flagged)");
  await client.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
  await client.ok("EXPUNGE");
  await straight.ok('APPEND "Folder 1" ', Buffer.from("Subject: new\r\n\r\nnew\r\n"));
  const after = await digestsOf(straight, "Folder 1");
  await client.ok("NOOP");
  expect(await digestsOf(client, "Folder 1")).toEqual(after);
  expect((await straight.ok("FETCH 1 FLAGS")).untagged.map(String).join("")).toContain("\\Flagged");

  // Nothing that a client keeps of it is good for the next time.
  await mailferry.restart();
  const again = await mailferry.client(user);
  expect(await validityOf(again, "Folder 1")).toBeGreaterThan(first);
  expect(await digestsOf(again, "Folder 1")).toEqual(after);
  expect((await run("migrate")).stdout).toContain("Folder 1: the old server does not tell a UIDVALIDITY");

  // The old server is mended.
  proxy.lie = undefined;
  expect((await run("migrate")).code).toBe(0);
  expect((await run("verify")).code).toBe(0);
  expect(await validityOf(await mailferry.client(user), "Folder 1")).toBe(1_400_000_001);
  expect((await mailferry.log()).match(/"level":(50|60)/)).toBeNull();
});

it("that tells UIDVALIDITY by STATUS only: it is asked", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 20, sizeBytes: 800 }));
  await legacy.start();
  const proxy = await startLyingProxy(legacy.ports.imap);
  onTestFinished(() => proxy.close());
  proxy.lie = (line) => (line.startsWith("* OK [UIDVALIDITY") ? undefined : line);
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
  });
  onTestFinished(() => mailferry.close());
  const straight = await legacy.client(user);
  const client = await mailferry.client(user);
  expect(await validityOf(client, "INBOX")).toBe(await validityOf(straight, "INBOX"));
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
});

async function validityOf(client: ImapClient, mailbox: string): Promise<number> {
  const { untagged } = await client.ok(`SELECT "${mailbox}"`);
  return Number(/UIDVALIDITY (\d+)/.exec(untagged.map(String).join("\n"))?.[1]);
}

it.each(lies)("that $name", async ({ lie }) => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 60, sizeBytes: 800 }));
  await legacy.start();
  const truth = await digestsOf(await legacy.client(user));
  expect(truth.size).toBe(60);
  const proxy = await startLyingProxy(legacy.ports.imap);
  onTestFinished(() => proxy.close());
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
    legacyExtra: { timeout: 3 },
  });
  onTestFinished(() => mailferry.close());
  proxy.lie = lie;
  for (let session = 0; session < 3; session++) {
    // A session may end: what it was told before must be true.
    const seen = await mailferry
      .client(user)
      .then(digestsOf)
      .catch(() => new Map<string, string>());
    for (const [uid, digest] of seen) expect(digest, `UID ${uid}`).toBe(truth.get(uid));
  }
  proxy.lie = undefined;
  await mailferry.restart();
  expect(await digestsOf(await mailferry.client(user))).toEqual(truth);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(migrated.code, migrated.stdout + migrated.stderr).toBe(0);
  expect((await mailferry.log()).match(/"level":(50|60)/)).toBeNull();
});
