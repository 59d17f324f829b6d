/**
 * One who has nothing to do with it: sessions that send NOOP every 5 ms while twenty accounts are being pulled
 * and the server holds a few big ones open. A session straight at the old server does the same meanwhile, and
 * shows what of it is the machine's.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createAccount } from "../../test/helpers/mailferry.ts";
import { serverMemoryBytes } from "../../test/helpers/server-memory.ts";
import type { ThinClient } from "../thin-client.ts";
import { logIn, type Place } from "./measures.ts";
import { type OldServerOptions, type Template, writeTemplate } from "./old-server.ts";
import { untilQuiet } from "./quiet.ts";
import { bringOver, type FrontServer, pullsEnded, type Site, startFront, startSite } from "./site.ts";

const big = { messages: 100_000, sizeBytes: 500, most: 6, untilBytes: 700 << 20 };
const pulled = { accounts: 20, messages: 2_000, sizeBytes: 2_000 };
const everyMs = 5;
const aloneMs = 5_000;
const mostMs = 60_000;

/** Whose sessions are asked, and in what state. */
const bystanders = ["no mailbox", "complete account, INBOX", "local account, INBOX"] as const;
type Bystander = (typeof bystanders)[number];

export interface BystanderRun {
  readonly folder: string;
  /** A small account. */
  readonly small: Template;
  readonly settings: Pick<OldServerOptions, "fsync" | "ahead">;
  readonly onProgress: (text: string) => void;
}

/** A Markdown table. */
export async function bystander({ folder, small, settings, onProgress }: BystanderRun): Promise<string> {
  const bigs = await writeTemplate(join(folder, "big"), big.messages, big.sizeBytes);
  const few = await writeTemplate(join(folder, "pulled"), pulled.messages, pulled.sizeBytes);
  const bigUsers = Array.from({ length: big.most }, (_, index) => `big${index}`);
  const users: Record<string, Template> = { complete: small };
  for (const user of bigUsers) users[user] = bigs;
  for (const index of bystanders.keys()) for (const user of pulledUsers(index)) users[user] = few;
  const site = await startSite({ condstore: true, users, ...settings });
  try {
    const front = await startFront(site.old.dovecot, site.old.port);
    try {
      await bringOver(front, "complete", site.old.dovecot.passwordOf("complete"));
      const local = await makeLocal(front);
      const measure = (meanwhile: string, which: Bystander, work: () => Promise<unknown>): Promise<string> =>
        line({ site, front, local, meanwhile, which, work });
      const alone = (): Promise<void> => delay(aloneMs);
      const rows = [await measure("nothing else", "no mailbox", alone)];
      const sessions = await openBigOnes(site, front, bigUsers, onProgress);
      await untilQuiet([site.old, front]);
      for (const [index, which] of bystanders.entries()) {
        onProgress(`bystander: ${which}`);
        rows.push(await measure("big accounts open", which, alone));
        const pulls = async (): Promise<void> => {
          sessions.push(...(await pullAll(site, front, pulledUsers(index))));
        };
        rows.push(await measure(`${pulled.accounts} pulls, big accounts open`, which, pulls));
        await untilQuiet([site.old, front]);
      }
      for (const session of sessions) session.close();
      return [head, ...rows].join("\n");
    } finally {
      await front.close();
    }
  } finally {
    await site.close();
  }
}

function pulledUsers(index: number): string[] {
  return Array.from({ length: pulled.accounts }, (_, user) => `pulled${index}-${user}`);
}

/** With a little mail of its own. */
async function makeLocal(front: FrontServer): Promise<Place> {
  const place = { port: front.port, user: "local", password: "pass-local", maildir: "", uids: [] };
  const { code, stderr } = await createAccount(front.mailferry, place.user, place.password);
  if (code !== 0) throw new Error(stderr);
  const client = await logIn(place);
  for (let count = 0; count < 100; count++)
    await client.okWith("APPEND INBOX", Buffer.from("Subject: x\r\n\r\nx\r\n"));
  client.close();
  return place;
}

/** One after the other, until the server is as big as one that has been in use. */
async function openBigOnes(
  site: Site,
  front: FrontServer,
  users: readonly string[],
  onProgress: (text: string) => void,
): Promise<ThinClient[]> {
  const sessions: ThinClient[] = [];
  for (const user of users) {
    await bringOver(front, user, site.old.dovecot.passwordOf(user));
    const session = await logIn(site.place(user, front.port));
    await session.ok("SELECT INBOX");
    sessions.push(session);
    const bytes = serverMemoryBytes(front.mailferry.pid);
    onProgress(`bystander: ${sessions.length} big accounts, ${megabytes(bytes)} MB`);
    if (bytes >= big.untilBytes) break;
  }
  return sessions;
}

/** Logs all in, and resolves when their pulls have ended. */
async function pullAll(site: Site, front: FrontServer, users: readonly string[]): Promise<ThinClient[]> {
  const deadline = performance.now() + mostMs;
  const before = await pullsEnded(front);
  const sessions = await Promise.all(
    users.map(async (user) => {
      const session = await logIn(site.place(user, front.port));
      await session.ok("SELECT INBOX");
      return session;
    }),
  );
  while ((await pullsEnded(front)) < before + users.length && performance.now() < deadline) await delay(250);
  return sessions;
}

interface Watched {
  readonly site: Site;
  readonly front: FrontServer;
  readonly local: Place;
  readonly which: Bystander;
  readonly meanwhile: string;
  readonly work: () => Promise<unknown>;
}

async function line({ site, front, local, which, meanwhile, work }: Watched): Promise<string> {
  const complete = site.place("complete", front.port);
  const here = await open(which, which === "local account, INBOX" ? local : complete);
  const there = await open(which, { ...complete, port: site.old.port });
  let isOver = false;
  const ended = work().finally(() => {
    isOver = true;
  });
  const [through, straight] = await Promise.all([
    askAllTheTime(here, () => isOver),
    askAllTheTime(there, () => isOver),
    ended,
  ]);
  here.close();
  there.close();
  const memory = megabytes(serverMemoryBytes(front.mailferry.pid));
  return `| ${[meanwhile, which, memory, cells(through), cells(straight)].join(" | ")} |`;
}

async function open(which: Bystander, place: Place): Promise<ThinClient> {
  const client = await logIn(place);
  if (which !== "no mailbox") await client.ok("SELECT INBOX");
  return client;
}

async function askAllTheTime(client: ThinClient, isOver: () => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const started = performance.now();
    await client.ok("NOOP");
    const took = performance.now() - started;
    times.push(took);
    await delay(Math.max(0, everyMs - took));
  }
  return times;
}

const columns = "NOOPs | p50 ms | p99 | max | > 20 ms | > 50 ms";
const head = `| meanwhile | session | server MB | ${columns} | straight: ${columns} |\n|${"---|".repeat(15)}`;

function cells(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1);
  const above = (ms: number): number => times.filter((one) => one > ms).length;
  return [times.length, at(0.5), at(0.99), at(1), above(20), above(50)].join(" | ");
}

function megabytes(bytes: number): string {
  return (bytes / (1 << 20)).toFixed(0);
}
