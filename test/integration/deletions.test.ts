/** A legacy server that suddenly lists much less is not believed until somebody says so. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

async function start(messages = 60): Promise<{ legacy: Dovecot; mailferry: Mailferry }> {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages, sizeBytes: 500 }));
  await legacy.start();
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  await mailferry.client(user);
  expect((await run(mailferry, "migrate")).code).toBe(0);
  return { legacy, mailferry };
}

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

/** The messages are gone from the old server's disk, as after a restore that went wrong. */
async function loseMail(legacy: Dovecot): Promise<void> {
  await legacy.stop("gently");
  for (const folder of ["cur", "new"]) await rm(join(legacy.maildirOf(user), folder), { recursive: true });
  await legacy.start();
}

async function count(client: ImapClient): Promise<number> {
  const { untagged } = await client.ok("UID SEARCH ALL");
  const line = untagged.map(String).find((text) => text.startsWith("* SEARCH")) ?? "";
  return line.split(" ").filter((word) => /^\d+$/.test(word)).length;
}

it("is held, shown, readable, kept over a restart, and gone when it is accepted", async () => {
  const { legacy, mailferry } = await start();
  await loseMail(legacy);
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  expect(await count(client)).toBe(60);
  const body = await client.ok("FETCH 1 BODY.PEEK[]");
  expect(body.untagged.join("").length).toBeGreaterThan(300);
  // New mail comes all the same.
  await (await legacy.client(user)).ok("APPEND INBOX ", Buffer.from("Subject: new\r\n\r\nnew\r\n"));
  await client.ok("NOOP");
  expect(await count(client)).toBe(61);
  await mailferry.restart();
  const again = await mailferry.client(user);
  await again.ok("SELECT INBOX");
  expect(await count(again)).toBe(61);
  expect((await run(mailferry, "status")).stdout).toContain("suddenly lost 60 messages");
  expect((await run(mailferry, "deletions")).stdout).toContain("INBOX: 60 messages are held");
  const verified = await run(mailferry, "verify");
  expect(verified.code).toBe(1);
  const accepted = await run(mailferry, "deletions", "--accept");
  expect(accepted.stdout).toContain("INBOX: 60 messages are gone");
  await again.ok("NOOP");
  expect(await count(again)).toBe(1);
  expect((await run(mailferry, "verify")).code).toBe(0);
  expect((await run(mailferry, "deletions")).stdout).toContain("nothing is held");
});

it("is rescued when it is refused", async () => {
  const { legacy, mailferry } = await start();
  await loseMail(legacy);
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const refused = await run(mailferry, "deletions", "--refuse");
  expect(refused.stdout).toContain("INBOX: 60 messages are in Rescued");
  await client.ok("NOOP");
  expect(await count(client)).toBe(0);
  await client.ok("SELECT Rescued");
  expect(await count(client)).toBe(60);
  const straight = await legacy.client(user);
  await straight.ok("SELECT Rescued");
  expect(await count(straight)).toBe(60);
});

it("a user who empties a mailbox through Mailferry is not asked", async () => {
  const { mailferry } = await start();
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  await client.ok("CREATE Archive");
  await client.ok("MOVE 1:20 Archive");
  await client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
  await client.ok("EXPUNGE");
  expect(await count(client)).toBe(0);
  expect((await run(mailferry, "deletions")).stdout).toContain("nothing is held");
});
