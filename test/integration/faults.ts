/**
 * Clients work through Mailferry while everything between it and the legacy server goes wrong; at the end all that
 * they were told holds, and both sides are equal.
 */
import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { contentsOf, expectModel, work } from "../helpers/acknowledged-work.ts";
import { type ChaosProxy, type Fault, startChaosProxy } from "../helpers/chaos-proxy.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { createRandom } from "../helpers/random.ts";
import { serverMemoryBytes } from "../helpers/server-memory.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

interface FaultCase {
  readonly name: string;
  readonly fault: Fault;
  /** What `status` says while it lasts. */
  readonly told: RegExp;
}

export const faultCases: readonly FaultCase[] = [
  {
    name: "is far away",
    fault: { kind: "delay", ms: 60 },
    told: /sends slowly \(\d+ KB|answers slowly/,
  },
  {
    name: "is slow",
    fault: { kind: "throttle", bytesPerSecond: 60_000 },
    told: /sends slowly \(\d+ KB|answers slowly/,
  },
  {
    name: "closes connections anywhere",
    fault: { kind: "cut", maxBytes: 12_000 },
    told: /clos|lost|ECONNRESET/,
  },
  {
    name: "resets connections anywhere",
    fault: { kind: "reset", maxBytes: 12_000 },
    told: /clos|lost|ECONNRESET/,
  },
  {
    name: "goes silent anywhere",
    fault: { kind: "stall", maxBytes: 30_000 },
    told: /did not answer for 2 seconds|clos|time/i,
  },
  { name: "answers NO at random", fault: { kind: "answer", with: "NO", oneIn: 12 }, told: /refuse/ },
  { name: "answers BAD at random", fault: { kind: "answer", with: "BAD", oneIn: 12 }, told: /refuse/ },
  { name: "says BYE at random", fault: { kind: "answer", with: "BYE", oneIn: 12 }, told: /clos/ },
  { name: "drops who is in IDLE", fault: { kind: "drop-idle" }, told: /clos/ },
  {
    name: "has no room for more connections",
    fault: { kind: "refuse", maxConnections: 2 },
    told: /closes the connection before the login/,
  },
];

export interface FaultRun {
  readonly faults: readonly Fault[];
  readonly durationMs: number;
  readonly seed: number;
  /** What `status` says while it lasts. */
  readonly told?: RegExp | undefined;
}

export async function workThrough({ faults, durationMs, seed, told }: FaultRun): Promise<void> {
  console.log(`seed ${seed}: ${faults.map(({ kind }) => kind).join(", ")}`);
  const random = createRandom(seed);
  const legacy = await startDovecot({ users: [user], started: false });
  await fillAccount(legacy, user, plainAccount({ seed, messages: 300, sizeBytes: 3_000, mailboxes: 3 }));
  await legacy.start();
  const proxy = await startChaosProxy(legacy.ports.imap, random);
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", ports: { imap: proxy.port }, passwordOf: legacy.passwordOf },
    legacyExtra: { timeout: 2 },
    // Else the room that V8 gives to what lives shortly would hide what is not let go.
    env: { NODE_OPTIONS: "--max-semi-space-size=2" },
  });
  try {
    // One login that goes well: the password is known from then on. It stays, so that the old server is asked for
    // IDLE whenever the others are quiet.
    const watching = await mailferry.client(user);
    await watching.ok("SELECT INBOX");
    proxy.faults = faults;
    const ends = performance.now() + durationMs;
    const early = resourcesOf(mailferry, durationMs / 3);
    const workers = await Promise.all(
      [1, 2].map((number) =>
        work({
          connect: () => mailferry.client(user),
          random: createRandom(seed + number),
          name: `w${number}`,
          goesOn: () => performance.now() < ends,
        }),
      ),
    );
    // On a busy machine the workers have met too few refusals to be told of.
    const isRefusing = faults.some(({ kind }) => kind === "answer");
    const statusMeanwhile = async (): Promise<string> => {
      for (let n = 0; isRefusing && n < 20; n++)
        await watching.command("SELECT INBOX").catch(() => undefined);
      return statusOf(mailferry);
    };
    if (told) await expect.poll(statusMeanwhile, { timeout: 20_000 }).toMatch(told);
    console.log(`harm ${proxy.harm}, ${workers.map(({ said }) => JSON.stringify(said)).join(" ")}`);
    expect(
      proxy.harm + (faults.some(({ kind }) => kind === "delay" || kind === "throttle") ? 1 : 0),
    ).toBeGreaterThan(0);
    proxy.faults = [];
    watching.close();
    await expectRecovery(mailferry, proxy);
    const [before, after] = [await early, await resourcesOf(mailferry, 0)];
    console.log(
      `memory ${before.memoryMb} to ${after.memoryMb} MB, open files ${before.files} to ${after.files}`,
    );
    expect(after.memoryMb).toBeLessThan(before.memoryMb + 80);
    expect(after.files).toBeLessThan(before.files + 20);
    const straight = await legacy.client(user);
    const there = await contentsOf(straight);
    for (const { model } of workers) expectModel(model, there);
    const here = await mailferry.client(user);
    const snapshots = [await takeSnapshot(straight), await takeSnapshot(here)] as const;
    expect(diffSnapshots(...snapshots, { ignore: ["RECENT"] })).toEqual([]);
    const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  } finally {
    await mailferry.close();
    await proxy.close();
    await legacy.close();
  }
}

/** Without any help: the account works again and becomes complete. */
async function expectRecovery(mailferry: Mailferry, proxy: ChaosProxy): Promise<void> {
  await expect
    .poll(() => runCli(["migrate", "-c", mailferry.configFile, user]), { timeout: 90_000, interval: 500 })
    .toMatchObject({ code: 0 });
  await expect.poll(() => proxy.connections, { timeout: 20_000 }).toBeLessThanOrEqual(5);
}

/** After `delayMs`. */
async function resourcesOf(
  { pid }: Mailferry,
  delayMs: number,
): Promise<{ memoryMb: number; files: number }> {
  await delay(delayMs);
  const memoryMb = Math.round(serverMemoryBytes(pid) / 1e6);
  return { memoryMb, files: (await readdir(`/proc/${pid}/fd`)).length };
}

async function statusOf(mailferry: Mailferry): Promise<string> {
  return (await runCli(["status", "-c", mailferry.configFile, user])).stdout;
}
