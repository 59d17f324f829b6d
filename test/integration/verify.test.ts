/** What `verify` finds, and what it takes for no difference, in front of a real Dovecot. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { AccountVerdict } from "../../src/verify-account.ts";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";
let legacy: Dovecot;
let mailferry: Mailferry;
let subscriptions: string;

beforeAll(async () => {
  legacy = await startDovecot({ users: [user], started: false });
  await fillAccount(legacy, user, plainAccount({ messages: 200, sizeBytes: 1_000, mailboxes: 2 }));
  await legacy.start();
  const straight = await legacy.client(user);
  for (const name of ["Sent.2019", "gone", "late"]) await straight.ok(`CREATE ${name}`);
  for (const name of ["INBOX", "Sent.2019", "gone"]) await straight.ok(`SUBSCRIBE ${name}`);
  // Its subscription stays (RFC 3501 6.3.6).
  await straight.ok("DELETE gone");
  mailferry = await startMailferry({ legacy });
  subscriptions = join(mailferry.dataDir, "mail", "_", user, "Maildir", "subscriptions");
  await mailferry.client(user);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
});
afterAll(async () => {
  await mailferry?.close();
  await legacy?.close();
});

async function verify(...args: string[]): Promise<{ verdict: AccountVerdict; code: number | null }> {
  const { stdout, stderr, code } = await runCli([
    "verify",
    "-c",
    mailferry.configFile,
    user,
    "--json",
    ...args,
  ]);
  expect(stderr).toBe("");
  return { verdict: JSON.parse(stdout), code };
}

const bytesOf = ({ mailboxes }: AccountVerdict): number =>
  mailboxes.reduce((sum, { bytesCompared }) => sum + bytesCompared, 0);

it("compares the bytes of a sample, and everything else of all", async () => {
  const all = await verify();
  expect(all).toMatchObject({ code: 0, verdict: { equal: true, samplePercent: 100 } });
  const sampled = await verify("--sample", "10%");
  expect(sampled).toMatchObject({ code: 0, verdict: { equal: true, samplePercent: 10 } });
  expect(sampled.verdict.mailboxes.map((mailbox) => mailbox.messagesHere)).toEqual(
    all.verdict.mailboxes.map((mailbox) => mailbox.messagesHere),
  );
  expect(bytesOf(sampled.verdict) / bytesOf(all.verdict)).toBeCloseTo(0.1, 1);
  expect(bytesOf((await verify("--sample", "0")).verdict)).toBe(0);
});

it.each(["-1%", "101", "ten", ""])("a sample of %j is wrong usage", async (sample) => {
  expect(await runCli(["verify", "-c", mailferry.configFile, user, `--sample=${sample}`])).toMatchObject({
    code: 2,
  });
});

it("takes in what has changed meanwhile: subscriptions, and UIDs that came and went", async () => {
  const straight = await legacy.client(user);
  await straight.ok("SUBSCRIBE late");
  await straight.ok("UNSUBSCRIBE gone");
  await straight.ok("APPEND INBOX (\\Deleted) ", Buffer.from("Subject: short\r\n\r\nlife\r\n"));
  await straight.ok("SELECT INBOX");
  await straight.ok("EXPUNGE");
  const { verdict, code } = await verify();
  const { untagged } = await straight.ok('LSUB "" "*"');
  expect(untagged.join("\n")).toMatch(/ late\b/);
  const count = untagged.length;
  expect(verdict.subscriptions).toEqual({ subscribedLegacy: count, subscribedHere: count, differences: [] });
  expect({ equal: verdict.equal, code }).toEqual({ equal: true, code: 0 });
});

it("finds a file of subscriptions that is not what clients are told, and a start writes it anew", async () => {
  const text = await readFile(subscriptions, "latin1");
  await writeFile(subscriptions, text.replace("Sent\t2019\n", "foreign\tname\n"));
  const { verdict, code } = await verify();
  expect(code).toBe(1);
  expect(verdict.equal).toBe(false);
  expect(verdict.subscriptions?.differences).toEqual([
    { name: "Sent.2019", detail: "not in the file subscriptions" },
    { name: "foreign/name", detail: "in the file subscriptions only" },
  ]);
  await rm(subscriptions);
  const people = await runCli(["verify", "-c", mailferry.configFile, user]);
  expect(people.stdout).toContain("Sent.2019: not in the file subscriptions\n");
  expect(people.stdout).toContain("NOT EQUAL\n");
  await mailferry.restart();
  await mailferry.client(user);
  expect(await verify()).toMatchObject({ code: 0, verdict: { equal: true } });
});
