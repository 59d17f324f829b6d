/** A message that the legacy server has in several mailboxes (EMAILID, RFC 8474) comes once, and is linked. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startCyrus } from "../helpers/cyrus.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { startLyingProxy } from "../helpers/lying-proxy.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";
const big = 1_500_000;

const message = (number: number, sizeBytes: number): Buffer =>
  Buffer.from(
    `Subject: ${number}\r\nMessage-ID: <${number}@x>\r\n\r\n${`${number} `.repeat(sizeBytes / 4)}\r\n`,
  );

it("messages of one EMAILID are fetched once and linked", { timeout: 60_000 }, async () => {
  const legacy = await startCyrus({ users: [user] });
  onTestFinished(() => legacy.close());
  const straight = await legacy.client(user);
  for (const name of ["Archive", "Sent", "Later", "Last"]) await straight.ok(`CREATE ${name}`);
  for (let number = 1; number <= 20; number++)
    await straight.ok("APPEND INBOX ", message(number, number === 7 ? big : 2_000));
  await straight.ok("SELECT INBOX");
  await straight.ok("COPY 1:20 Archive");
  await straight.ok("COPY 5:12 Sent");
  // The same bytes with another date: the file's own.
  await straight.ok('APPEND Sent (\\Flagged) "11-Jan-2020 10:00:00 +0130" ', message(1, 2_000));
  await straight.ok("STORE 3 +FLAGS (\\Answered Mine)");
  const before = await takeSnapshot(await legacy.client(user));

  const proxy = await startLyingProxy(legacy.ports.imap);
  onTestFinished(() => proxy.close());
  let bodies = 0;
  proxy.lie = (line) => {
    if (/BODY\[\] \{\d+\}\r\n$/.test(line)) bodies++;
    return line;
  };
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
  });
  onTestFinished(() => mailferry.close());
  await mailferry.client(user);
  await migrated(mailferry);
  expect(bodies).toBe(20);
  expect(await linksOf(mailferry, "")).toEqual(
    Array.from({ length: 20 }, (_, index) => (index >= 4 && index < 12 ? 3 : 2)),
  );
  expect(await linksOf(mailferry, ".Sent")).toEqual([...Array(8).fill(3), 1]);
  const client = await mailferry.client(user);
  const difference = diffSnapshots(before, await takeSnapshot(client), {
    ignore: ["RECENT", "BODYSTRUCTURE"],
  });
  expect(difference).toEqual([]);

  // What is copied later is linked too, also for a client who asks before the pull, and after a restart.
  await straight.ok("COPY 1:20 Later");
  await client.ok("SELECT Later");
  await client.ok("FETCH 7 RFC822.SIZE");
  await client.ok("FETCH 7 BODY.PEEK[]");
  await mailferry.restart();
  await straight.ok("COPY 1:20 Last");
  const again = await mailferry.client(user);
  await migrated(mailferry);
  expect(bodies).toBe(20);
  expect((await linksOf(mailferry, ".Last"))[6]).toBe(5);

  // Each goes its own way.
  await again.ok("SELECT Archive");
  await again.ok("STORE 1:20 +FLAGS.SILENT (\\Deleted)");
  await again.ok("EXPUNGE");
  await again.ok("SELECT INBOX");
  await again.ok("STORE 7 +FLAGS.SILENT (\\Deleted \\Seen)");
  await again.ok("EXPUNGE");
  await migrated(mailferry);
  await expect.poll(() => linksOf(mailferry, ".Archive")).toEqual([]);
  const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);

  const here = await takeSnapshot(again);
  expect(await mailferry.stop()).toBe(0);
  expect((await mailferry.log()).match(/"level":(50|60)/)).toBeNull();
  const second = await startDovecot({ users: [user], namespace: { separator: "/" }, started: false });
  onTestFinished(() => second.close());
  await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await second.start();
  const there = await takeSnapshot(await second.client(user));
  for (const [name, { messages }] of here.mailboxes) {
    for (const [uid, seen] of messages) {
      const other = there.mailboxes.get(name)?.messages.get(uid);
      expect([name, uid, other?.["BODY[]"], other?.FLAGS]).toEqual([name, uid, seen["BODY[]"], seen.FLAGS]);
    }
  }
});

async function migrated({ configFile }: Mailferry): Promise<void> {
  const { code, stdout, stderr } = await runCli(["migrate", "-c", configFile, user]);
  expect(code, stdout + stderr).toBe(0);
}

/** How many names each file of a mailbox has, by UID. */
async function linksOf({ dataDir }: Mailferry, folder: string): Promise<number[]> {
  const cur = join(dataDir, "mail", "_", user, "Maildir", folder, "cur");
  const names = (await readdir(cur)).sort();
  return Promise.all(names.map(async (name) => (await stat(join(cur, name))).nlink));
}
