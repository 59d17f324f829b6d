/** INBOX is watched on the legacy server while a client has any mailbox open. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { startLyingProxy } from "../helpers/lying-proxy.ts";
import { type Mailferry, type MailferryOptions, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

async function bothServers(options: Omit<MailferryOptions, "legacy"> = {}, hides?: RegExp) {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 20, sizeBytes: 600, mailboxes: 3 }));
  await legacy.start();
  const proxy = await startLyingProxy(legacy.ports.imap);
  onTestFinished(() => proxy.close());
  if (hides) proxy.lie = (line) => line.replace(hides, "");
  const mailferry = await startMailferry({
    ...options,
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
  });
  onTestFinished(() => mailferry.close());
  return { legacy, mailferry };
}

async function deliver(legacy: Dovecot): Promise<void> {
  const straight = await legacy.client(user);
  await straight.ok("APPEND INBOX ", Buffer.from("Subject: new\r\n\r\nnew mail\r\n"));
  straight.close();
}

const inboxFiles = async ({ dataDir }: Mailferry): Promise<number> =>
  (await readdir(join(dataDir, "mail", "_", user, "Maildir", "cur"))).length;

/** What a session in another mailbox is told without the legacy server being asked for it. */
const inboxInStatus = async ({ configFile }: Mailferry): Promise<unknown> => {
  const { stdout } = await runCli(["status", "-c", configFile, user, "--json"]);
  const { perMailbox } = JSON.parse(stdout) as { perMailbox: { name: string; messages: number }[] };
  return perMailbox.find(({ name }) => name === "INBOX")?.messages;
};

/** Idles for news there: nothing is to be told of them. */
const idlesOf = async (legacy: Dovecot): Promise<number> =>
  ((await legacy.doveadm("who", "-1")).match(/ imap /g) ?? []).length;

it("mail that comes into INBOX is here at once while a client has another mailbox open", async () => {
  const { legacy, mailferry } = await bothServers();
  const client = await mailferry.client(user);
  await client.ok('SELECT "Folder 1"');
  const before = await pulledInbox(mailferry);
  for (let arrived = 1; arrived <= 2; arrived++) {
    await deliver(legacy);
    await expect.poll(() => inboxFiles(mailferry), { timeout: 8_000 }).toBe(before + arrived);
    expect(await inboxInStatus(mailferry)).toBe(before + arrived);
  }
  // Nobody is left who could be told: the connections go back, and then away.
  await client.ok("LOGOUT");
  expect(await mailferry.stop()).toBe(0);
  await expect.poll(() => idlesOf(legacy), { timeout: 10_000 }).toBe(0);
  expect((await mailferry.log()).match(/"level":(50|60)/)).toBeNull();
});

it("a legacy server without IDLE is looked at", { timeout: 60_000 }, async () => {
  const { legacy, mailferry } = await bothServers({}, / IDLE\b/);
  const client = await mailferry.client(user);
  await client.ok('SELECT "Folder 1"');
  const before = await pulledInbox(mailferry);
  await deliver(legacy);
  await expect.poll(() => inboxFiles(mailferry), { timeout: 30_000, interval: 500 }).toBe(before + 1);
});

it("with two connections clients do not wait for the watch", { timeout: 60_000 }, async () => {
  const { legacy, mailferry } = await bothServers({ legacyExtra: { connections: { perUser: 2 } } });
  const clients = await Promise.all([1, 2].map(() => mailferry.client(user)));
  for (const [index, client] of clients.entries()) await client.ok(`SELECT "Folder ${index + 1}"`);
  const before = await pulledInbox(mailferry);
  const idle = await clients[0]!.idle();
  let longestMs = 0;
  for (let round = 0; round < 30; round++) {
    const startedAt = performance.now();
    await clients[1]!.ok(`APPEND "Folder 2" `, Buffer.from(`Subject: ${round}\r\n\r\n`));
    await clients[1]!.ok("UID STORE 1:* +FLAGS.SILENT (Work)");
    await clients[1]!.ok("NOOP");
    longestMs = Math.max(longestMs, performance.now() - startedAt);
  }
  expect(longestMs).toBeLessThan(2_000);
  // The mailbox that a client has open goes before INBOX: it keeps the one connection there is to wait on.
  const straight = await legacy.client(user);
  await straight.ok('APPEND "Folder 1" ', Buffer.from("Subject: open\r\n\r\n"));
  await deliver(legacy);
  await idle.until(/EXISTS/, 20_000);
  await expect.poll(() => inboxFiles(mailferry), { timeout: 30_000, interval: 500 }).toBe(before + 1);
  await idle.done();
});

/** How many messages INBOX has, once they are all here. */
async function pulledInbox(mailferry: Mailferry): Promise<number> {
  const { code, stdout, stderr } = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(code, stdout + stderr).toBe(0);
  return inboxFiles(mailferry);
}
