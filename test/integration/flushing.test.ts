/** The server flushes what it has written, and asks for no flush where it has written nothing. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import { plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";

const users = ["alice", "bob"] as const;

it.each(["imap", "imap and pop3"])("what is written is flushed, and nothing else: %s", async (protocols) => {
  const legacy = await startDovecot({ users: [...users] });
  onTestFinished(() => legacy.close());
  for (const user of users) {
    const client = await legacy.client(user);
    for (const mailbox of ["Sent", "Work", "Work.2020"]) await client.ok(`CREATE ${mailbox}`);
    for (const mailbox of ["INBOX", "Sent", "Work.2020"])
      await client.ok(`APPEND ${mailbox} (\\Seen $Label) `, Buffer.from("Subject: a\r\n\r\na\r\n"));
    await client.ok("SUBSCRIBE Work");
    await client.ok("LOGOUT");
  }
  const folder = mkdtempSync(join(tmpdir(), "flushing-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const log = join(folder, "log");
  const counting = `#!/bin/sh\necho "$*" >> '${log}'\nPATH='${process.env["PATH"]}' exec sync "$@"\n`;
  writeFileSync(join(folder, "sync"), counting, { mode: 0o700 });
  const flushes = (): number => (existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0);
  const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  const mailferry = await startMailferry({
    legacy,
    env: { PATH: `${folder}:${process.env["PATH"]}` },
    extra: { listen: plainListeners },
    legacyExtra: protocols === "imap" ? {} : { pop3 },
  });
  onTestFinished(() => mailferry.close());
  const migrateAll = async (): Promise<void> => {
    for (const user of users) {
      const file = join(folder, user);
      writeFileSync(file, `${legacy.passwordOf(user)}\n`);
      const args = ["migrate", "-c", mailferry.configFile, user, "--password-file", file];
      expect(await runCli(args)).toMatchObject({ code: 0 });
    }
  };

  await migrateAll();
  const first = flushes();
  expect(first).toBeGreaterThanOrEqual(users.length);
  await migrateAll();
  expect(flushes()).toBe(first);
  // What an earlier process has left is flushed once, for all.
  await mailferry.restart();
  await migrateAll();
  expect(flushes()).toBe(first + 1);
  await migrateAll();
  expect(flushes()).toBe(first + 1);

  // Before changes are held back, and once more while they are.
  const [user] = users;
  await (await mailferry.client(user)).ok("LOGOUT");
  const complete = flushes();
  expect(await runCli(["cutover", "-c", mailferry.configFile, user])).toMatchObject({ code: 0 });
  const cutOver = flushes();
  expect(cutOver - complete).toBeGreaterThanOrEqual(2);
  const script = join(folder, "handover.sh");
  expect(await runCli(["handover", "-c", mailferry.configFile, user, "--script", script])).toMatchObject({
    code: 0,
  });
  expect(flushes()).toBeGreaterThan(cutOver);
});
