/** The operator's hook around a cutover: it may refuse before, and is told afterwards. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

it("keeps the account as it is where it refuses, and is told what was done", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 30, sizeBytes: 500, mailboxes: 2 }));
  await legacy.start();
  const [program, told, answer] = ["hook", "told", "answer"].map((name) => join(legacy.root, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(program, `#!/bin/sh\ncat >> '${told}'; echo >> '${told}'\n. '${answer}'\n`);
  await chmod(program, 0o755);
  const mailferry = await startMailferry({ legacy, extra: { cutover: { hook: { command: [program] } } } });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user);
  const cutover = (...args: string[]) => runCli(["cutover", "-c", mailferry.configFile, user, ...args]);
  const status = async () =>
    JSON.parse((await runCli(["status", "-c", mailferry.configFile, user, "--json"])).stdout);

  await writeFile(answer, "echo 'the new host has no such user'; exit 7\n");
  expect((await cutover("--dry-run")).code).toBe(0);
  const refused = await cutover();
  expect(refused).toMatchObject({
    code: 1,
    stderr: "the hook refuses (exit code 7): the new host has no such user\n",
  });
  expect(await status()).toMatchObject({ stage: "complete" });
  await client.ok("APPEND INBOX ", Buffer.from("Subject: still there\r\n\r\ntext\r\n"));
  const straight = await legacy.client(user);
  expect((await straight.ok("STATUS INBOX (MESSAGES)")).untagged.join()).toContain("MESSAGES 16");

  // Only afterwards: what is done is done.
  await writeFile(answer, `if tail -1 '${told}' | grep -q after; then echo 'no disk'; exit 1; fi\n`);
  const done = await cutover();
  expect(done).toMatchObject({ code: 0, stderr: "" });
  expect(done.stdout).toContain("; after-cutover: the hook refuses (exit code 1): no disk\n");
  expect(await status()).toMatchObject({
    stage: "local",
    lastError: "after-cutover: the hook refuses (exit code 1): no disk",
  });
  const lines = (await readFile(told, "utf8")).trim().split("\n").filter(Boolean);
  expect(lines.map((line) => JSON.parse(line).event)).toEqual([
    "before-cutover",
    "before-cutover",
    "after-cutover",
  ]);
  expect(JSON.parse(lines[2] ?? "")).toEqual({
    event: "after-cutover",
    user,
    legacy: `imap://127.0.0.1:${legacy.ports.imap}`,
    time: expect.any(String),
    heldMs: expect.any(Number),
  });
  expect(lines.join()).not.toContain(legacy.passwordOf(user));

  const rollback = () => runCli(["rollback", "-c", mailferry.configFile, user]);
  await writeFile(answer, "echo 'not today'; exit 1\n");
  expect(await rollback()).toMatchObject({
    code: 1,
    stderr: "the hook refuses (exit code 1): not today\n",
  });
  expect(await status()).toMatchObject({ stage: "local" });
  await writeFile(answer, "");
  expect((await rollback()).stdout).toContain("alice: the legacy server's again");
  const last = (await readFile(told, "utf8")).trim().split("\n").filter(Boolean).slice(3);
  expect(last.map((line) => JSON.parse(line).event)).toEqual([
    "before-rollback",
    "before-rollback",
    "after-rollback",
  ]);
});
