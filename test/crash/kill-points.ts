/**
 * kill -9 at the steps of pull, APPEND, COPY, STORE and EXPUNGE: what was answered is there afterwards, once, and
 * UIDNEXT never goes back.
 */
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { contentsOf, expectModel, work, workMailboxes } from "../helpers/acknowledged-work.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { createAccount, type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { createRandom } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";
const password = "pass-alice";
const killer = fileURLToPath(new URL("../helpers/kill-at.ts", import.meta.url));
/** Changes of the disk within which a kill falls. */
const lastStep = 700;

export interface KillRun {
  readonly kills: number;
  readonly seed?: number;
}

/** An account of a legacy server, whose pull begins with each start. */
export async function killWhileMirroring({ kills, seed = Date.now() % 1_000_000 }: KillRun): Promise<void> {
  const legacy = await startDovecot({ users: [user], started: false });
  await fillAccount(legacy, user, plainAccount({ seed, messages: 300, sizeBytes: 3_000, mailboxes: 3 }));
  await legacy.start();
  const env: Record<string, string> = {};
  const mailferry = await startMailferry({ legacy, env });
  try {
    const straight = await legacy.client(user);
    await killOften({ mailferry, env, kills, seed }, async () => {
      const here = await mailferry.client(user);
      const [there, shown] = [await takeSnapshot(straight), await takeSnapshot(here)];
      expect(diffSnapshots(there, shown, { ignore: ["RECENT"] })).toEqual([]);
      here.close();
      return contentsOf(straight);
    });
    expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
    const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
    expect(verified.code, verified.stdout).toBe(0);
  } finally {
    await mailferry.close();
    await legacy.close();
  }
}

/** An account that is nowhere else. */
export async function killWhileLocal({ kills, seed = Date.now() % 1_000_000 }: KillRun): Promise<void> {
  const env: Record<string, string> = {};
  const mailferry = await startMailferry({ env });
  try {
    await createAccount(mailferry, user, password);
    const client = await mailferry.client(user, password);
    for (const name of workMailboxes.slice(1)) await client.ok(`CREATE "${name}"`);
    client.close();
    await killOften({ mailferry, env, kills, seed }, async () => {
      const here = await mailferry.client(user, password);
      const contents = await contentsOf(here);
      here.close();
      return contents;
    });
  } finally {
    await mailferry.close();
  }
}

interface Killing {
  readonly mailferry: Mailferry;
  /** Of the process, when it is started next. */
  readonly env: Record<string, string>;
  readonly kills: number;
  readonly seed: number;
}

async function killOften(
  { mailferry, env, kills, seed }: Killing,
  look: () => Promise<Awaited<ReturnType<typeof contentsOf>>>,
): Promise<void> {
  console.log(`seed ${seed}`);
  const random = createRandom(seed);
  let uidNexts = new Map<string, number>();
  let killed = 0;
  for (let round = 0; round < kills; round++) {
    await mailferry.stop();
    Object.assign(env, { KILL_AT: String(1 + random.below(lastStep)), NODE_OPTIONS: `--import=${killer}` });
    await mailferry.start().catch(() => undefined);
    const ends = performance.now() + 3_000;
    let isOver = false;
    const connect = () => mailferry.client(user, password);
    const worker = await work({
      connect: async () => {
        try {
          return await connect();
        } catch (error) {
          isOver = true;
          throw error;
        }
      },
      random,
      name: `r${round}`,
      goesOn: () => !isOver && performance.now() < ends,
    });
    if (isOver) killed++;
    await mailferry.kill();
    for (const name of Object.keys(env)) delete env[name];
    await mailferry.start();
    expectModel(worker.model, await look());
    const client = await connect();
    const now = await uidNextsOf(client);
    client.close();
    for (const [name, uidNext] of uidNexts) expect(now.get(name)).toBeGreaterThanOrEqual(uidNext);
    uidNexts = now;
  }
  console.log(`killed in the middle: ${killed} of ${kills}`);
}

async function uidNextsOf(client: ImapClient): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const name of workMailboxes) {
    const { untagged } = await client.ok(`STATUS "${name}" (UIDNEXT)`);
    found.set(name, Number(/UIDNEXT (\d+)/.exec(untagged.join("\n"))?.[1]));
  }
  return found;
}
