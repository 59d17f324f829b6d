/** A legacy server with POP3 only: IMAP on top of it, and the maildrop as it was. */
import { expect, it, onTestFinished } from "vitest";
import { alikeMail } from "../helpers/alike-mail.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { openMaildrop, seenMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";

async function startLegacy(count: number): Promise<Dovecot> {
  const legacy = await startDovecot({
    users: [user],
    started: false,
    extraConfig: "protocol pop3 {\n  pop3_uidl_format = %f\n}\n",
  });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, alikeMail(count));
  await legacy.start();
  return legacy;
}

async function startInFrontOf(legacy: Dovecot): Promise<Mailferry> {
  const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners },
    legacyExtra: { imap: undefined, pop3 },
  });
  onTestFinished(() => mailferry.close());
  return mailferry;
}

async function countOf(client: ImapClient): Promise<number> {
  const { untagged } = await client.ok("STATUS INBOX (MESSAGES)");
  return Number(/MESSAGES (\d+)/.exec(untagged.join("\n"))?.[1]);
}

async function uidsAndSizes(client: ImapClient): Promise<string[]> {
  const { untagged } = await client.ok("UID FETCH 1:* (UID RFC822.SIZE)");
  return untagged.map((response) => {
    const items = fetchItems(response);
    return `${textOf(items?.get("UID"))} ${textOf(items?.get("RFC822.SIZE"))}`;
  });
}

/** What the old server had to give so far, in messages. */
async function retrievedFrom(legacy: Dovecot): Promise<number> {
  const counts = [...(await legacy.log()).matchAll(/retr=(\d+)\//g)].map(([, count]) => Number(count));
  return counts.reduce((sum, count) => sum + count, 0);
}

it("is readable by IMAP and POP3 at the first login, and nothing is fetched twice", async () => {
  const legacy = await startLegacy(5_000);
  const straight = await seenMaildrop(legacy.ports.pop3, user);
  // It is logged after QUIT is answered.
  await expect.poll(() => retrievedFrom(legacy)).toBe(5_000);
  const mailferry = await startInFrontOf(legacy);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  await expect.poll(() => countOf(client), { timeout: 30_000 }).toBe(5_000);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(migrated.stdout).toContain("complete: 5000 of 5000 messages");
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  await client.ok("NOOP");
  const seen = await uidsAndSizes(client);
  expect(seen).toHaveLength(5_000);
  await mailferry.restart();
  const again = await mailferry.client(user);
  await again.ok("SELECT INBOX");
  expect(await uidsAndSizes(again)).toEqual(seen);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  // Once straight, once by the POP3 client that was there first, and once to keep.
  expect(await retrievedFrom(legacy)).toBeLessThanOrEqual(15_000);
  const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
  expect(verified.stdout).toContain("5000 messages there, 5000 here");
  expect(verified.code).toBe(0);
});

it("kill -9 in the pull loses and doubles nothing, and UIDs stay", async () => {
  const legacy = await startLegacy(3_000);
  const straight = await seenMaildrop(legacy.ports.pop3, user);
  const mailferry = await startInFrontOf(legacy);
  let seen: string[] = [];
  for (let kills = 0; kills < 6; kills++) {
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    const wanted = Math.min(2_900, seen.length + 300);
    await expect.poll(() => countOf(client), { interval: 5, timeout: 30_000 }).toBeGreaterThan(wanted);
    await client.ok("NOOP");
    const now = await uidsAndSizes(client);
    expect(now.slice(0, seen.length)).toEqual(seen);
    seen = now;
    await mailferry.kill();
    await mailferry.start();
  }
  const client = await mailferry.client(user);
  await expect.poll(() => countOf(client), { timeout: 30_000 }).toBe(3_000);
  await client.ok("SELECT INBOX");
  expect((await uidsAndSizes(client)).slice(0, seen.length)).toEqual(seen);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(migrated.stdout).toContain("complete: 3000 of 3000 messages");
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
  expect(verified.stdout).toContain("3000 messages there, 3000 here");
  expect(verified.code).toBe(0);
});

it("flags and other mailboxes are kept here, deletions go through, and come through", async () => {
  const legacy = await startLegacy(100);
  const straight = await seenMaildrop(legacy.ports.pop3, user);
  const mailferry = await startInFrontOf(legacy);
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  await expect.poll(() => countOf(client)).toBe(100);
  await client.ok("NOOP");
  await client.ok("CREATE Archive");
  await client.ok("STORE 1:3 +FLAGS (\\Flagged $Work)");
  await client.ok("APPEND INBOX ", Buffer.from("Subject: own\r\n\r\nown\r\n"));
  await client.ok("MOVE 10:12 Archive");
  await client.ok("STORE 20 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  expect(await countOf(client)).toBe(97);
  const length = async () => (await seenMaildrop(legacy.ports.pop3, user)).length;
  await expect.poll(length).toBe(96);
  const session = await openMaildrop(mailferry.port("pop3"), user);
  await session.remove(1);
  await session.quit();
  expect(await length()).toBe(95);
  const gone = new Set([0, 9, 10, 11, 22]);
  const kept = straight.filter((_, index) => !gone.has(index));
  const identity = ({ uidl, digest, sizeBytes }: (typeof straight)[number]) => [uidl, digest, sizeBytes];
  expect((await seenMaildrop(legacy.ports.pop3, user)).map(identity)).toEqual(kept.map(identity));
  // And what was filed by IMAP, behind them.
  const here = (await seenMaildrop(mailferry.port("pop3"), user)).map(identity);
  expect(here.slice(0, 95)).toEqual(kept.map(identity));
  expect(here).toHaveLength(96);

  const other = await openMaildrop(legacy.ports.pop3, user);
  await other.remove(1);
  await other.remove(2);
  await other.quit();
  await mailferry.restart();
  const again = await mailferry.client(user);
  await again.ok("SELECT INBOX");
  await expect.poll(() => countOf(again)).toBe(94);
  await again.ok("NOOP");
  const { untagged } = await again.ok("UID SEARCH KEYWORD $Work");
  // 1 was deleted by POP3, 2 and 3 at the old server.
  expect(untagged.map(String)).toContain("* SEARCH");
  await again.ok("SELECT Archive");
  expect(await uidsAndSizes(again)).toHaveLength(3);
  expect((await seenMaildrop(mailferry.port("pop3"), user)).map(identity)).toEqual(here.slice(2));
});

it("keeps everything when the old maildrop is suddenly empty, and says so", async () => {
  const legacy = await startLegacy(60);
  const mailferry = await startInFrontOf(legacy);
  const client = await mailferry.client(user);
  await expect.poll(() => countOf(client)).toBe(60);
  const before = await seenMaildrop(mailferry.port("pop3"), user);
  const other = await openMaildrop(legacy.ports.pop3, user);
  for (let number = 1; number <= 59; number++) await other.remove(number);
  await other.quit();
  await mailferry.restart();
  const again = await mailferry.client(user);
  expect(await countOf(again)).toBe(60);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(before);
  const status = await runCli(["status", "-c", mailferry.configFile, user]);
  expect(status.stdout).toContain("suddenly lost 59 messages");
  const refused = await runCli(["deletions", "-c", mailferry.configFile, user, "--refuse"]);
  expect(refused.stdout).toContain("INBOX: 59 messages are in Rescued");
  expect(await countOf(again)).toBe(1);
  await again.ok("SELECT Rescued");
  expect(await uidsAndSizes(again)).toHaveLength(59);
});

it("what no client has read stays unread at the old server", async () => {
  const legacy = await startLegacy(50);
  const straight = await legacy.client(user);
  await straight.ok("EXAMINE INBOX");
  const unread = async (): Promise<string> => (await straight.ok("UID SEARCH UNSEEN")).untagged.join("\n");
  const before = await unread();
  expect(before).toMatch(/SEARCH \d/);
  const mailferry = await startInFrontOf(legacy);
  const client = await mailferry.client(user);
  await expect.poll(() => countOf(client)).toBe(50);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  await straight.ok("NOOP");
  expect(await unread()).toBe(before);
});
