/** A disk that fills in the middle of a pull harms nothing; when there is room again, the pull goes on by itself. */
import { execFile } from "node:child_process";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const run = promisify(execFile);
const user = "alice";

async function smallDisk(
  megabytes: number,
): Promise<{ path: string; fill(): Promise<void>; resize(megabytes: number): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "small-disk-"));
  await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path]);
  onTestFinished(async () => {
    await run("umount", ["-l", path]);
    await rm(path, { recursive: true });
  });
  return {
    path,
    /** To the last byte. */
    async fill() {
      for (const sizeBytes of [1 << 20, 1 << 12, 1]) {
        const write = (): Promise<boolean> =>
          appendFile(join(path, "filling"), Buffer.alloc(sizeBytes)).then(
            () => true,
            () => false,
          );
        while (await write());
      }
    },
    resize: async (size) => void (await run("mount", ["-o", `remount,size=${size}m`, path])),
  };
}

async function statusOf({ configFile }: Mailferry): Promise<string> {
  return (await runCli(["status", "-c", configFile, user])).stdout;
}

// Only root may mount.
it.runIf(process.getuid?.() === 0)(
  "is reported, everything is still served, and the pull ends when there is room",
  async () => {
    const legacy = await startDovecot({ users: [user], started: false });
    onTestFinished(() => legacy.close());
    await fillAccount(legacy, user, plainAccount({ messages: 300, sizeBytes: 100_000, mailboxes: 2 }));
    await legacy.start();
    const only = (name: string): boolean => name === "INBOX";
    const straight = await takeSnapshot(await legacy.client(user), { only });
    const disk = await smallDisk(14);
    const mailferry = await startMailferry({ legacy, dataDir: join(disk.path, "data") });
    onTestFinished(() => mailferry.close());
    const client = await mailferry.client(user);
    await expect.poll(() => statusOf(mailferry), { timeout: 20_000 }).toMatch(/no space|full/i);
    await disk.fill();
    // Another session: what is not here comes from the legacy server.
    const other = await mailferry.client(user);
    expect(diffSnapshots(straight, await takeSnapshot(other, { only }), { ignore: ["RECENT"] })).toEqual([]);
    await other.ok("SELECT INBOX");
    await other.ok("STORE 1 +FLAGS (\\Flagged)");
    // What is new to the mailbox has no place on the disk.
    for (const [at, keyword] of ["First", "Second"].entries()) {
      const stored = await other.ok(`STORE ${at + 2} +FLAGS (${keyword})`);
      expect(stored.untagged.join()).toContain(keyword);
    }
    const third = await mailferry.client(user);
    const selected = await third.ok("SELECT INBOX");
    expect(selected.untagged.find((line) => /^\* FLAGS /.test(String(line)))?.toString()).toContain("Second");
    await disk.resize(200);
    await expect
      .poll(() => statusOf(mailferry), { timeout: 70_000, interval: 1_000 })
      .toMatch(/alice +complete/);
    const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
    expect(verified.code, verified.stdout).toBe(0);
    await client.ok("LOGOUT");
  },
  120_000,
);

it.runIf(process.getuid?.() === 0).each(["that was here before", "of which nothing is here"])(
  "serves an account %s, though not a byte can be written",
  async (which) => {
    const legacy = await startDovecot({ users: [user, "other"], started: false });
    onTestFinished(() => legacy.close());
    await fillAccount(legacy, user, plainAccount({ messages: 30, sizeBytes: 3_000, mailboxes: 2 }));
    await legacy.start();
    const straight = await takeSnapshot(await legacy.client(user));
    const disk = await smallDisk(20);
    const mailferry = await startMailferry({ legacy, dataDir: join(disk.path, "data") });
    onTestFinished(() => mailferry.close());
    await (await mailferry.client(which === "that was here before" ? user : "other")).ok("LOGOUT");
    await disk.fill();
    const seen = async (): Promise<unknown> => {
      const taken = await takeSnapshot(await mailferry.client(user));
      return diffSnapshots(straight, taken, { ignore: ["RECENT"] });
    };
    // A mailbox that has no place on the disk ends the sessions of an account that is open, once.
    await expect.poll(() => seen().catch(String), { timeout: 30_000 }).toEqual([]);
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    await client.ok("STORE 1 +FLAGS (\\Flagged NewWord)");
    const { untagged } = await client.ok("FETCH 1 (FLAGS)");
    expect(untagged.join()).toContain("NewWord");
    await client.ok("CREATE Made");
    client.close();
    const direct = await legacy.client(user);
    await direct.ok("SELECT INBOX");
    expect((await direct.ok("FETCH 1 (FLAGS)")).untagged.join()).toContain("NewWord");
    // Another session, after the first has left.
    const again = await mailferry.client(user);
    expect((await again.ok("SELECT INBOX")).untagged.join()).toContain("* 15 EXISTS");
    await disk.resize(60);
  },
  120_000,
);
