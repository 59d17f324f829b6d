/**
 * Clients work through Mailferry while everything between it and the legacy server goes wrong. Each keeps account of
 * what it was told: what was answered with OK must be there at the end, once; what was refused must not be; of what
 * was never answered either may be true.
 */
import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type ChaosProxy, type Fault, startChaosProxy } from "../helpers/chaos-proxy.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { serverMemoryBytes } from "../helpers/server-memory.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";
const mailboxes = ["INBOX", "Folder 1", "Folder 2"] as const;

interface FaultCase {
  readonly name: string;
  readonly fault: Fault;
  /** What `status` says while it lasts; undefined for what no operator would notice. */
  readonly told: RegExp | undefined;
}

export const faultCases: readonly FaultCase[] = [
  { name: "is far away", fault: { kind: "delay", ms: 60 }, told: undefined },
  { name: "is slow", fault: { kind: "throttle", bytesPerSecond: 60_000 }, told: undefined },
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
  { name: "answers NO at random", fault: { kind: "answer", with: "NO", oneIn: 12 }, told: undefined },
  { name: "answers BAD at random", fault: { kind: "answer", with: "BAD", oneIn: 12 }, told: undefined },
  { name: "says BYE at random", fault: { kind: "answer", with: "BYE", oneIn: 12 }, told: undefined },
  { name: "drops who is in IDLE", fault: { kind: "drop-idle" }, told: undefined },
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
  });
  try {
    // One login that goes well: the password is known from then on.
    (await mailferry.client(user)).close();
    proxy.faults = faults;
    const ends = performance.now() + durationMs;
    const early = resourcesOf(mailferry, durationMs / 3);
    const workers = await Promise.all(
      [1, 2].map((number) =>
        work(mailferry, createRandom(seed + number), `w${number}`, () => performance.now() < ends),
      ),
    );
    if (told) await expect.poll(() => statusOf(mailferry), { timeout: 20_000 }).toMatch(told);
    console.log(`harm ${proxy.harm}, ${workers.map(({ said }) => JSON.stringify(said)).join(" ")}`);
    expect(
      proxy.harm + (faults.some(({ kind }) => kind === "delay" || kind === "throttle") ? 1 : 0),
    ).toBeGreaterThan(0);
    proxy.faults = [];
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

/** What may be true of one message: how many of it there are, and its flags where they are certain. */
interface Known {
  least: number;
  most: number;
  flags: ReadonlySet<string> | undefined;
}

interface Worker {
  readonly model: ReadonlyMap<string, Known>;
  readonly said: Readonly<Record<string, number>>;
}

class Lost extends Error {}

async function work(
  mailferry: Mailferry,
  random: Random,
  name: string,
  goesOn: () => boolean,
): Promise<Worker> {
  const model = new Map<string, Known>();
  const said: Record<string, number> = { OK: 0, NO: 0, lost: 0 };
  let client: ImapClient | undefined;
  let next = 0;
  const run = async (...pieces: (string | Buffer)[]) => {
    if (!client) throw new Lost();
    const result = await client.command(...pieces).catch((cause: unknown) => {
      throw new Lost("no answer", { cause });
    });
    said[result.status] = (said[result.status] ?? 0) + 1;
    expect(result.status, result.tagged.toString("latin1")).not.toBe("BAD");
    return result;
  };
  const uidsOf = async (id: string): Promise<string[]> => {
    const { status, untagged } = await run(`UID SEARCH HEADER Subject ${id}`);
    const line = untagged.map(String).find((text) => text.startsWith("* SEARCH")) ?? "";
    return status === "OK" ? line.split(" ").slice(2) : [];
  };
  const step = async (): Promise<void> => {
    const box = random.pick(mailboxes);
    if ((await run(`SELECT "${box}"`)).status !== "OK") return;
    const ids = [...model.keys()];
    const id = random.pick(ids);
    const choice = random.below(8);
    if (choice < 3 || id === undefined) return append(box);
    const known = model.get(id);
    const [uid] = await uidsOf(id);
    if (uid === undefined || !known) return;
    if (choice === 3) await run(`UID FETCH ${uid} (FLAGS BODY.PEEK[])`);
    if (choice === 4 || choice === 5)
      await flag(uid, known, random.pick(["\\Flagged", "\\Answered", "Work"]));
    if (choice === 6) await remove(uid, known);
    if (choice === 7) await move(uid, known, random.pick(mailboxes));
  };
  const append = async (box: string): Promise<void> => {
    const id = `${name}n${next++}x`;
    const known: Known = { least: 0, most: 1, flags: undefined };
    model.set(id, known);
    const text = `From: ${name}@example.org\r\nSubject: ${id}\r\n\r\n${random.words(30)}\r\n`;
    const { status } = await run(`APPEND "${box}" (\\Seen) `, Buffer.from(text));
    known.least = known.most = status === "OK" ? 1 : 0;
    known.flags = new Set(["\\Seen"]);
  };
  const flag = async (uid: string, known: Known, flagName: string): Promise<void> => {
    const before = known.flags;
    known.flags = undefined;
    const { status } = await run(`UID STORE ${uid} +FLAGS (${flagName})`);
    known.flags = before && (status === "OK" ? new Set([...before, flagName]) : before);
  };
  const remove = async (uid: string, known: Known): Promise<void> => {
    known.flags = undefined;
    known.least = Math.max(0, known.least - 1);
    if ((await run(`UID STORE ${uid} +FLAGS.SILENT (\\Deleted)`)).status !== "OK") return;
    if ((await run(`UID EXPUNGE ${uid}`)).status === "OK") known.most--;
  };
  const move = async (uid: string, known: Known, to: string): Promise<void> => {
    const { status } = await run(`UID MOVE ${uid} "${to}"`);
    if (status !== "OK") known.flags = known.flags && undefined;
  };
  while (goesOn()) {
    try {
      client ??= await mailferry.client(user);
      await step();
    } catch (error) {
      if (!(error instanceof Lost) && client) throw error;
      said["lost"] = (said["lost"] ?? 0) + 1;
      client?.close();
      client = undefined;
    }
  }
  client?.close();
  return { model, said };
}

type Contents = ReadonlyMap<string, readonly ReadonlySet<string>[]>;

/** The flags of each message, by its subject. */
async function contentsOf(client: ImapClient): Promise<Contents> {
  const found = new Map<string, ReadonlySet<string>[]>();
  for (const box of mailboxes) {
    await client.ok(`EXAMINE "${box}"`);
    const { untagged } = await client.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    for (const response of untagged) {
      const items = fetchItems(response);
      if (!items) continue;
      const header = [...items].find(([item]) => item.startsWith("BODY"))?.[1];
      const subject = /Subject: (\S+)/.exec(textOf(header))?.[1] ?? "";
      const flags = /FLAGS \(([^)]*)\)/.exec(response.toString("latin1"))?.[1]?.split(" ") ?? [];
      found.set(subject, [
        ...(found.get(subject) ?? []),
        new Set(flags.filter((one) => one !== "\\Recent" && one !== "")),
      ]);
    }
  }
  return found;
}

function expectModel(model: ReadonlyMap<string, Known>, contents: Contents): void {
  for (const [id, { least, most, flags }] of model) {
    const found = contents.get(id) ?? [];
    expect(found.length, `${id} is there ${found.length} times`).toBeGreaterThanOrEqual(least);
    expect(found.length, `${id} is there ${found.length} times`).toBeLessThanOrEqual(most);
    if (flags && found.length === 1) expect(found[0], `flags of ${id}`).toEqual(flags);
  }
}
