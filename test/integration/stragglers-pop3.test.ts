/** Mail that still comes to a legacy server with POP3 only after the cutover: each message comes here, once. */
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startAlteringPop3 } from "../helpers/altering-pop3.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { seenMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";

async function startLegacy(count: number): Promise<Dovecot> {
  const legacy = await startDovecot({
    users: [user],
    started: false,
    extraConfig: "protocol pop3 {\n  pop3_uidl_format = %f\n}\n",
  });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: count, sizeBytes: 500 }));
  await legacy.start();
  return legacy;
}

/** Its account is cut over. */
async function startLocal(pop3Port: number): Promise<Mailferry> {
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", passwordOf: (one) => `pass-${one}`, ports: { imap: 0 } },
    extra: { listen: plainListeners },
    legacyExtra: { imap: undefined, pop3: { host: "127.0.0.1", port: pop3Port, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user);
  const { stdout, stderr, code } = await runCli(["cutover", "-c", mailferry.configFile, user]);
  expect(stdout + stderr).toContain("alice: local");
  expect(code).toBe(0);
  client.close();
  return mailferry;
}

const letter = (subject: string): Buffer =>
  Buffer.from(`From: a@example.org\r\nSubject: ${subject}\r\n\r\nabout ${subject}\r\n`);

async function subjectsIn(client: ImapClient): Promise<string[]> {
  await client.ok("SELECT INBOX");
  const { untagged } = await client.ok("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
  return untagged.flatMap((response) => /Subject: (.*?)\r/.exec(response.toString("latin1"))?.[1] ?? []);
}

/** Those that came after the cutover, as a client sees them in the end. */
async function lateHere(mailferry: Mailferry, expected: readonly string[]): Promise<void> {
  const client = await mailferry.client(user);
  const late = async () => (await subjectsIn(client)).filter((subject) => subject.startsWith("late"));
  await expect.poll(late, { timeout: 20_000 }).toEqual(expected);
  client.close();
}

/** At each start the old server is looked at; the end of that can be seen there. */
async function lookedAt(mailferry: Mailferry, sessions: () => Promise<number>): Promise<void> {
  const before = await sessions();
  await mailferry.restart();
  (await mailferry.client(user)).close();
  await expect.poll(sessions, { timeout: 20_000 }).toBeGreaterThan(before);
}

it("comes once, over restarts, and neither what was removed here nor what stays there comes again", async () => {
  const legacy = await startLegacy(30);
  const mailferry = await startLocal(legacy.ports.pop3);
  const straight = await legacy.client(user);
  const sessionsThere = async () =>
    (await legacy.log()).match(/Disconnected: Logged out.* retr=/g)?.length ?? 0;

  await straight.ok("APPEND INBOX ", letter("late one"));
  const client = await mailferry.client(user);
  await lateHere(mailferry, ["late one"]);
  await client.ok("SELECT INBOX");
  await client.ok("STORE 3 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await client.ok("APPEND INBOX ", letter("own"));
  await straight.ok("APPEND INBOX ", letter("late two"));
  await mailferry.restart();
  await lateHere(mailferry, ["late one", "late two"]);

  const again = await mailferry.client(user);
  await again.ok("SELECT INBOX");
  const { untagged } = await again.ok('UID SEARCH SUBJECT "late one"');
  await again.ok(`UID STORE ${/(\d+)/.exec(untagged.join("\n"))?.[1]} +FLAGS (\\Deleted)`);
  await again.ok("STORE 5 +FLAGS (\\Deleted)");
  await again.ok("EXPUNGE");
  await lookedAt(mailferry, sessionsThere);
  await straight.ok("SELECT INBOX");
  await straight.ok("STORE 1:2 +FLAGS (\\Deleted)");
  await straight.ok("EXPUNGE");
  await straight.ok("APPEND INBOX ", letter("late three"));
  await lookedAt(mailferry, sessionsThere);
  await lookedAt(mailferry, sessionsThere);
  await lateHere(mailferry, ["late two", "late three"]);

  const last = await mailferry.client(user);
  // 30, two were removed; what is removed there stays here.
  expect(await subjectsIn(last)).toHaveLength(30 - 2 + 1 + 2);
  await straight.ok("NOOP");
  expect((await straight.ok("STATUS INBOX (MESSAGES)")).untagged.join()).toContain("MESSAGES 31");
  // Who has fetched it there already knows it here.
  const there = await seenMaildrop(legacy.ports.pop3, user);
  const here = await seenMaildrop(mailferry.port("pop3"), user);
  const known = new Map(here.map(({ uidl, digest }) => [uidl, digest]));
  expect(known.size).toBe(here.length);
  for (const { uidl, digest } of there.slice(-2)) expect(known.get(uidl)).toBe(digest);
});

it("comes once, whenever the process is killed", async () => {
  const legacy = await startLegacy(5);
  const mailferry = await startLocal(legacy.ports.pop3);
  const straight = await legacy.client(user);
  const subjects = Array.from({ length: 300 }, (_, index) => `late ${index}`);
  for (const subject of subjects) await straight.ok("APPEND INBOX ", letter(subject));
  for (let seen = 0, kills = 0; kills < 4; kills++) {
    await mailferry.restart();
    const client = await mailferry.client(user);
    const wanted = Math.min(seen + 30, 300);
    await expect
      .poll(async () => (seen = (await subjectsIn(client)).length - 5), { interval: 5, timeout: 20_000 })
      .toBeGreaterThanOrEqual(wanted);
    await mailferry.kill();
  }
  await mailferry.start();
  await lateHere(mailferry, subjects);
});

it.each([
  ["only counts its messages", (index: number) => `${index + 1}`],
  ["gives others after the cutover", (index: number, isLater: boolean) => `${isLater}-${index}`],
])("comes once where the old server's UIDLs do not last: it %s", async (_, uidlOf) => {
  const served = (subject: string) => ({ uidl: subject, bytes: letter(subject) });
  const old = ["first", "second", "third"].map(served);
  let isLater = false;
  const legacy = await startAlteringPop3(old, { uidlOf: (index) => uidlOf(index, isLater) });
  onTestFinished(() => legacy.close());
  const mailferry = await startLocal(legacy.port);
  const before = await seenMaildrop(mailferry.port("pop3"), user);
  const sessionsThere = async () => legacy.count("QUIT");

  isLater = true;
  // Its number was that of another.
  legacy.messages.splice(1, 1, served("late one"));
  legacy.messages.push(served("late two"));
  for (let looks = 0; looks < 3; looks++) await lookedAt(mailferry, sessionsThere);
  await lateHere(mailferry, ["late one", "late two"]);
  expect(legacy.count("DELE")).toBe(0);
  const here = await seenMaildrop(mailferry.port("pop3"), user);
  expect(here.slice(0, 3)).toEqual(before);
  expect(new Set(here.map(({ uidl }) => uidl)).size).toBe(5);
});
