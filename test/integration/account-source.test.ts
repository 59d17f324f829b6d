/** An account keeps to what it was begun with: IMAP, or POP3 alone. The other would take its mail for gone. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { alikeMail } from "../helpers/alike-mail.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

async function countOf(client: ImapClient): Promise<number> {
  const { untagged } = await client.ok("STATUS INBOX (MESSAGES)");
  return Number(/MESSAGES (\d+)/.exec(untagged.join("\n"))?.[1]);
}

it.each([
  ["imap", "pop3"],
  ["pop3", "imap"],
] as const)("an account begun with %s is not opened with %s, and loses nothing", async (first, second) => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, alikeMail(20));
  await legacy.start();
  const dataDir = await mkdtemp(join(tmpdir(), "account-source-"));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  const started: Mailferry[] = [];
  onTestFinished(async () => void (await Promise.all(started.map((one) => one.close()))));
  const startWith = async (protocol: "imap" | "pop3"): Promise<Mailferry> => {
    await started.at(-1)?.stop();
    const { host, ports } = legacy;
    const server = { [protocol]: { host, port: ports[protocol], tls: "none" } };
    const legacyExtra = { imap: undefined, ...server };
    const mailferry = await startMailferry({
      legacy,
      dataDir,
      extra: { listen: plainListeners },
      legacyExtra,
    });
    started.push(mailferry);
    return mailferry;
  };

  const before = await startWith(first);
  const client = await before.client(user);
  await client.ok("SELECT INBOX");
  await expect.poll(() => countOf(client)).toBe(20);
  await client.ok("NOOP");
  await client.ok("CREATE Archive");
  await client.ok("MOVE 1:10 Archive");
  await client.ok("STORE 1:3 +FLAGS (\\Flagged)");
  expect((await runCli(["migrate", "-c", before.configFile, user])).code).toBe(0);
  const seen = await takeSnapshot(client);

  const other = await startWith(second);
  await expect(other.client(user)).rejects.toThrow("[UNAVAILABLE]");
  expect(await other.log()).toContain(`the account was begun with ${first}`);
  const { stdout } = await runCli(["status", "-c", other.configFile]);
  expect(stdout).toContain(`the account was begun with ${first}`);

  const again = await startWith(first);
  const now = await takeSnapshot(await again.client(user));
  expect(diffSnapshots(seen, now, { ignore: ["RECENT"] })).toEqual([]);
});
