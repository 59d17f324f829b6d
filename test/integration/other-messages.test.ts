/** An old server that gives other messages under the same UIDVALIDITY: no UID that a client has cached gets other bytes. */
import { cp, rm } from "node:fs/promises";
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { type OddImap, oddMailbox, oddMessage } from "../helpers/odd-imap.ts";
import { cacheOf, expectNoneChanged } from "../helpers/uid-cache.ts";

const user = "alice@example.com";
const numbers = Array.from({ length: 20 }, (_, index) => index + 1);

async function start(): Promise<{ odd: OddImap; mailferry: Mailferry }> {
  return startBehindOdd({ INBOX: oddMailbox(numbers.map((uid) => oddMessage(uid))) });
}

function restoreWith(odd: OddImap, kept: number, news: readonly string[]): void {
  const inbox = odd.mailboxes.get("INBOX");
  if (!inbox) throw new Error("no INBOX");
  inbox.messages = inbox.messages.filter(({ uid }) => uid <= kept);
  inbox.messages.push(
    ...news.map((text, index) => ({
      ...oddMessage(kept + 1 + index, text),
      date: "13-Mar-2019 09:00:00 +0100",
    })),
  );
  inbox.uidNext = kept + news.length + 1;
}

const letter = (text: string): string => `Subject: New\r\n\r\n${text}\r\n`;

for (const decision of ["--accept", "--refuse"] as const) {
  it(`restored from a backup, with new mail: ${decision}`, async () => {
    const { odd, mailferry } = await start();
    const run = (command: string, ...options: string[]) =>
      runCli([command, "-c", mailferry.configFile, user, ...options]);
    const client = await mailferry.client(user);
    const before = await cacheOf(client);
    await run("migrate");
    await client.ok("LOGOUT");
    await mailferry.restart();
    restoreWith(odd, 16, ["One", "Two", "Three", "Four", "Five"].map(letter));
    const again = await mailferry.client(user);
    const after = await cacheOf(again);
    expect(after.size).toBe(21);
    expectNoneChanged(before, after);
    expect((await run("status")).stdout).toContain("other messages under the same UIDVALIDITY");
    expect((await run("cutover")).code).not.toBe(0);
    await run("deletions", decision);
    expect((await run("migrate")).stdout).not.toContain("other messages");
    expect((await run("verify")).code).toBe(0);
    const rescued = await again.command("SELECT Rescued");
    expect(rescued.status).toBe(decision === "--accept" ? "NO" : "OK");
    if (decision === "--refuse") {
      const texts = [...(await cacheOf(again, "Rescued")).values()];
      expect(texts.sort()).toEqual([17, 18, 19, 20].map((uid) => oddMessage(uid).body.toString()));
    }
    await mailferry.restart();
    const last = await cacheOf(await mailferry.client(user));
    expect(last).toEqual(after);
  });
}

it("one answer is wrong: nothing begins anew", async () => {
  const { odd, mailferry } = await start();
  const before = await cacheOf(await mailferry.client(user));
  await mailferry.restart();
  let wrong = 3;
  odd.behave({
    sent: (text) =>
      text.replace(/RFC822\.SIZE (\d+)/g, (whole, size) =>
        wrong-- > 0 ? `RFC822.SIZE ${Number(size) + 9}` : whole,
      ),
  });
  expect(await cacheOf(await mailferry.client(user))).toEqual(before);
});

it("a Dovecot that is restored from a backup under a running Mailferry, and gets new mail", async () => {
  const legacy = await startDovecot({ users: ["alice"], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, "alice", plainAccount({ seed: 5, messages: 30, sizeBytes: 400 }));
  await legacy.start();
  const straight = await legacy.client("alice");
  await straight.ok("SELECT INBOX");
  await straight.ok("LOGOUT");
  const maildir = legacy.maildirOf("alice");
  await legacy.stop();
  await cp(maildir, `${maildir}.backup`, { recursive: true, preserveTimestamps: true });
  await legacy.start();
  const append = async (texts: readonly string[], date: string): Promise<void> => {
    const client = await legacy.client("alice");
    for (const text of texts) await client.ok(`APPEND INBOX "${date}" `, Buffer.from(letter(text)));
    await client.ok("LOGOUT");
  };
  await append(["Tuesday", "Tuesday noon", "Tuesday night"], "01-Dec-2020 10:00:00 +0000");
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const run = (command: string, ...options: string[]) =>
    runCli([command, "-c", mailferry.configFile, "alice", ...options]);
  const client = await mailferry.client("alice");
  const before = await cacheOf(client);
  expect(before.size).toBe(33);
  expect((await run("migrate")).code).toBe(0);
  await legacy.stop();
  await rm(maildir, { recursive: true });
  await cp(`${maildir}.backup`, maildir, { recursive: true, preserveTimestamps: true });
  await legacy.start();
  await append(["Other mail that is longer", "And one more", "Third"], "02-Dec-2020 11:00:00 +0000");
  const again = await mailferry.client("alice");
  await expect
    .poll(async () => [...(await cacheOf(again)).values()].some((text) => text.includes("Other mail")), {
      timeout: 30_000,
    })
    .toBe(true);
  const after = await cacheOf(again);
  expectNoneChanged(before, after);
  expect(after.size).toBe(33);
  expect((await run("status")).stdout).toContain("other messages under the same UIDVALIDITY");
  expect((await run("cutover")).code).not.toBe(0);
  expect((await run("deletions", "--refuse")).code).toBe(0);
  const rescued = [...(await cacheOf(again, "Rescued")).values()].join("");
  for (const text of ["Tuesday\r\n", "Tuesday noon", "Tuesday night"]) expect(rescued).toContain(text);
  expect((await run("migrate")).code).toBe(0);
  expect((await run("verify")).stdout).toContain("equal");
});
