/**
 * kill -9 at random moments of a pull: after the last restart the account is complete and equal, no
 * message is in two files and none is missing. The seed of the moments is printed.
 */
import { once } from "node:events";
import { watch } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { createRandom } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";
const messages = 2_000;

export async function killInPull(kills: number, seed = Date.now() % 1_000_000): Promise<void> {
  console.log(`seed ${seed}`);
  const random = createRandom(seed);
  const legacy = await startDovecot({ users: [user], started: false });
  let mailferry: Mailferry | undefined;
  try {
    await fillAccount(
      legacy,
      user,
      plainAccount({
        seed,
        messages,
        sizeBytes: 6_000,
        mailboxes: 3,
        large: { count: 4, sizeBytes: 3_000_000 },
      }),
    );
    await legacy.start();
    const client = await legacy.client(user);
    const straight = await takeSnapshot(client);
    await client.ok("LOGOUT");

    mailferry = await startMailferry({ legacy });
    const maildir = join(mailferry.dataDir, "mail", "_", user, "Maildir");
    await mkdir(join(maildir, "tmp"), { recursive: true });
    const left: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      await killAfterWrites(mailferry, maildir, 1 + random.below(2 * Math.floor(messages / kills)));
      left.push((await filedUids(maildir)).length);
      await mailferry.start();
    }
    console.log(`messages filed at each kill: ${left.join(" ")}`);
    const migrated = await runCli([
      "migrate",
      "-c",
      mailferry.configFile,
      user,
      "--password-file",
      await passwordFile(mailferry, legacy.passwordOf(user)),
    ]);
    expect(migrated, migrated.stderr).toMatchObject({ code: 0 });

    const filed = await filedUids(maildir);
    expect(filed).toHaveLength(new Set(filed).size);
    expect(filed).toHaveLength(messages);
    const session = await mailferry.client(user);
    expect(diffSnapshots(straight, await takeSnapshot(session))).toEqual([]);
    await session.ok("LOGOUT");
    const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
    expect(verified, verified.stdout).toMatchObject({ code: 0 });
  } finally {
    await mailferry?.close();
    await legacy.close();
  }
}

/** Starts the pull and kills the server once so many files have come, or when all are there. */
async function killAfterWrites(mailferry: Mailferry, maildir: string, writes: number): Promise<void> {
  const watching = new AbortController();
  const enough = filesIn(maildir, writes, watching.signal);
  const session = await mailferry.client(user);
  const migrated = runCli(["migrate", "-c", mailferry.configFile, user]);
  await Promise.race([enough, migrated]);
  await mailferry.kill();
  watching.abort();
  session.close();
  await migrated;
}

async function filesIn(maildir: string, count: number, signal: AbortSignal): Promise<void> {
  const watcher = watch(maildir, { recursive: true, signal });
  let seen = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  watcher.on("change", (_, path) => {
    if (/(^|\/)cur\//.test(String(path)) && ++seen >= count) resolve();
  });
  await Promise.race([promise, once(watcher, "close")]);
}

/** The UIDs of all files in all mailboxes, from their names, mailbox by mailbox. */
async function filedUids(maildir: string): Promise<string[]> {
  const entries = await readdir(maildir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && /(^|\/)(cur|new)$/.test(entry.parentPath));
  return files.map((entry) => `${entry.parentPath} ${Number(entry.name.split(".")[0])}`);
}

async function passwordFile(mailferry: Mailferry, password: string): Promise<string> {
  const file = join(mailferry.dataDir, "password-file");
  await writeFile(file, password);
  return file;
}
