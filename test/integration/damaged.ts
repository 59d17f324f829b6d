/**
 * Accounts on old servers whose answers are spoilt at random, each by a seed of its own: what is Mailferry's own in
 * the end is all that the old server has, byte for byte; everything else was refused.
 */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { createDamage, createLastingDamage } from "../helpers/damage.ts";
import { connectImap, type ImapClient, quoted } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { type OddImap, oddMailbox, oddMessage, oddPassword, startOddImap } from "../helpers/odd-imap.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";

interface DamagedAccount {
  readonly seed: number;
  readonly user: string;
  readonly domain: string;
  readonly server: OddImap;
}

/** How many there are of each outcome. */
export interface Outcomes {
  readonly local: number;
  readonly refused: number;
}

const names = ["INBOX", "Archive", "Work/2019", "Sent Items"];
const clientMs = 15_000;
const pullMs = 20_000;

export async function cutOverDamaged(seeds: readonly number[]): Promise<Outcomes> {
  const accounts = await Promise.all(seeds.map(startAccount));
  const mailferry = await startMailferry({
    extra: {
      legacy: accounts.map(({ domain, server }) => ({
        domains: [domain],
        imap: { host: "127.0.0.1", port: server.port, tls: "none" },
        timeout: 2,
      })),
      log: { level: "warn" },
    },
  });
  const sessions: ImapClient[] = [];
  try {
    await inTurns(
      accounts,
      4,
      async (account) => void sessions.push(...(await useAsClient(mailferry, account))),
    );
    await untilStill(mailferry);
    await runCli(["cutover", "-c", mailferry.configFile, "--ready"], { timeoutMs: 600_000 });
    const local = new Set(
      (await statusOf(mailferry)).filter((one) => one.stage === "local").map(({ user }) => user),
    );
    const cutOver = accounts.filter(({ user }) => local.has(user));
    const wrong: string[] = [];
    for (const account of cutOver) wrong.push(...(await differences(mailferry, account)));
    expect(wrong).toEqual([]);
    return { local: local.size, refused: accounts.length - local.size };
  } finally {
    for (const session of sessions) session.close();
    await mailferry.close();
    for (const { server } of accounts) await server.close();
  }
}

async function startAccount(seed: number): Promise<DamagedAccount> {
  const random = createRandom(seed);
  const mailboxes = Object.fromEntries(
    names.slice(0, 1 + random.below(names.length)).map((name, index) => {
      const uids = Array.from({ length: 20 }, (_, number) => number + 1).filter(() => random.chance(0.25));
      const messages = uids.map((uid) => oddMessage(uid, mailOf(random, uid)));
      return [name, oddMailbox(messages, 1_000 + index)];
    }),
  );
  const oneIn = 6 + random.below(60);
  const damage = random.chance(0.5) ? createDamage(random, oneIn) : createLastingDamage(seed, 3 * oneIn);
  const server = await startOddImap(mailboxes, { sent: damage });
  const domain = `s${seed}.example`;
  return { seed, domain, user: `u@${domain}`, server };
}

/** Of a few lines to some tens of KB. */
function mailOf(random: Random, uid: number): string {
  const lines = Array.from(
    { length: random.pick([1, 3, 20, 300]) },
    () => `${random.words(random.below(12))}\r\n`,
  );
  return `From: a@example.net\r\nSubject: ${random.words(3)} ${uid}\r\nMessage-ID: <${random.below(1e9)}@example.net>\r\n\r\n${lines.join("")}${random.pick(["", "no line end"])}`;
}

/** As long as it goes well; what fails is tried again by a client, and so it is here, a few times. The session stays, for the cutover. */
async function useAsClient(mailferry: Mailferry, { user, seed }: DamagedAccount): Promise<ImapClient[]> {
  const random = createRandom(seed + 1);
  for (let attempt = 0; attempt < 4; attempt++) {
    const client = await connectImap({ port: mailferry.port("imap"), timeoutMs: clientMs });
    try {
      await client.login(user, oddPassword);
      await client.ok('LIST "" "*"');
      await client.ok("SELECT INBOX");
      await client.ok("UID FETCH 1:* (FLAGS)");
      await client.ok(`UID FETCH ${1 + random.below(6)}:* (BODY.PEEK[])`);
      return [client];
    } catch {
      // A client sees errors, and may be disconnected; what must not be is judged by what is kept.
      client.close();
    }
  }
  return [];
}

interface Status {
  readonly user: string;
  readonly stage: string;
}

async function statusOf({ configFile }: Mailferry): Promise<readonly Status[]> {
  return JSON.parse((await runCli(["status", "-c", configFile, "--json"])).stdout) as Status[];
}

/** Until no account has become complete for a while. */
async function untilStill(mailferry: Mailferry): Promise<void> {
  const ends = performance.now() + pullMs;
  let last = -1;
  while (performance.now() < ends) {
    const complete = (await statusOf(mailferry)).filter(({ stage }) => stage === "complete").length;
    if (complete === last) return;
    last = complete;
    await delay(3_000);
  }
}

/** A line for each, with its seed. */
async function differences(mailferry: Mailferry, { user, seed, server }: DamagedAccount): Promise<string[]> {
  const client = await mailferry.client(user, oddPassword);
  try {
    const { mailboxes } = await takeSnapshot(client, { bodies: false, structures: false });
    const [here, there] = [mailboxes, server.mailboxes].map((one) => [...one.keys()].sort().join());
    if (here !== there) return [`seed ${seed}: mailboxes ${here} and not ${there}`];
    const found: string[] = [];
    for (const [name, { messages }] of server.mailboxes) {
      const kept = await messagesOf(client, name);
      const all = messages.map(({ uid, body }) => `${uid} ${body.toString("latin1")}`);
      const isOdd = kept.filter((one) => !all.includes(one)).map((one) => one.slice(0, 60));
      const missing = all.filter((one) => !kept.includes(one)).map((one) => one.slice(0, 60));
      if (isOdd.length + missing.length > 0)
        found.push(`seed ${seed}, ${name}: missing ${JSON.stringify(missing)}, odd ${JSON.stringify(isOdd)}`);
    }
    return found;
  } finally {
    client.close();
  }
}

async function messagesOf(client: ImapClient, name: string): Promise<string[]> {
  await client.ok(`EXAMINE ${quoted(name)}`);
  const { untagged } = await client.ok("UID FETCH 1:* (UID BODY.PEEK[])");
  return untagged.flatMap((response) => {
    const text = response.toString("latin1");
    const [head = "", bytes] = /^\* \d+ FETCH \(UID (\d+) BODY\[\] \{\d+\}\r\n/.exec(text) ?? [];
    return bytes === undefined ? [] : [`${bytes} ${text.slice(head.length, -1)}`];
  });
}

async function inTurns<T>(all: readonly T[], atOnce: number, work: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const one of left) await work(one);
    }),
  );
}
