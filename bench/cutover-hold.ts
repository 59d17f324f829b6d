/**
 * How long a cutover holds changes back: unchanged accounts of 50,000 messages in a few mailboxes, one after the
 * other, of a legacy server with IMAP alone, near and 20 ms away, with POP3 beside it, and without CONDSTORE, whose
 * flags have to be read whole. A session that asks NOOP all the time shows for how long nobody is answered.
 *
 * `npm run bench -- cutover-hold [--rounds N] [--messages N] [--mailboxes N]`
 */
import { parseArgs } from "node:util";
import { plainAccount } from "../test/helpers/account-plans.ts";
import { startChaosProxy } from "../test/helpers/chaos-proxy.ts";
import { startDovecot } from "../test/helpers/dovecot.ts";
import { fillAccount } from "../test/helpers/filler.ts";
import type { ImapClient } from "../test/helpers/imap-client.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../test/helpers/mailferry.ts";
import { createRandom } from "../test/helpers/random.ts";
import { median } from "./measure.ts";

interface Round {
  readonly heldMs: number;
  /** Of all that was asked from before the cutover until after it. */
  readonly slowestNoopMs: number;
}

interface Kind {
  readonly name: string;
  readonly hasPop3: boolean;
  /** By so much each answer of its IMAP server comes later. */
  readonly delayMs: number;
  /** Of the legacy Dovecot. */
  readonly extraConfig: string;
}

const kinds: readonly Kind[] = [
  { name: "IMAP", hasPop3: false, delayMs: 0, extraConfig: "" },
  { name: "IMAP, 20 ms away", hasPop3: false, delayMs: 20, extraConfig: "" },
  { name: "IMAP and POP3", hasPop3: true, delayMs: 0, extraConfig: "" },
  {
    name: "IMAP without CONDSTORE",
    hasPop3: false,
    delayMs: 0,
    extraConfig:
      "protocol imap {\n imap_capability = IMAP4rev1 IDLE UIDPLUS MOVE NAMESPACE UNSELECT LITERAL+\n}\n",
  },
];

interface Size {
  readonly rounds: number;
  readonly messages: number;
  readonly mailboxes: number;
}

export async function cutoverHold(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "5" },
      messages: { type: "string", default: "50000" },
      mailboxes: { type: "string", default: "5" },
    },
  });
  const size: Size = {
    rounds: Number(values.rounds),
    messages: Number(values.messages),
    mailboxes: Number(values.mailboxes),
  };
  const rows: string[] = [];
  for (const kind of kinds) rows.push(rowOf(kind, await cutOverAll(kind, size)));
  const lines = [
    `### cutover of ${size.messages} messages in ${size.mailboxes} mailboxes`,
    "",
    "| legacy server | changes held ms, median | each | slowest NOOP ms |",
    "|---|---|---|---|",
    ...rows,
  ];
  process.stdout.write(`\n${lines.join("\n")}\n`);
}

function rowOf({ name }: Kind, rounds: readonly Round[]): string {
  const held = rounds.map(({ heldMs }) => heldMs);
  const slowest = Math.max(...rounds.map(({ slowestNoopMs }) => slowestNoopMs));
  return `| ${name} | ${median(held)} | ${held.join(" ")} | ${slowest.toFixed(0)} |`;
}

async function cutOverAll({ hasPop3, delayMs, extraConfig }: Kind, size: Size): Promise<Round[]> {
  const users = Array.from({ length: size.rounds }, (_, index) => `user${index}`);
  const legacy = await startDovecot({ users, started: false, extraConfig });
  try {
    for (const user of users)
      await fillAccount(legacy, user, plainAccount({ seed: 1, sizeBytes: 400, ...size }));
    await legacy.start();
    const proxy = await startChaosProxy(legacy.ports.imap, createRandom(1));
    if (delayMs > 0) proxy.faults = [{ kind: "delay", ms: delayMs }];
    const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
    const mailferry = await startMailferry({
      legacy: { ...legacy, ports: { imap: proxy.port } },
      extra: { listen: plainListeners, log: { level: "info" } },
      ...(hasPop3 && { legacyExtra: { pop3 } }),
    });
    try {
      const rounds: Round[] = [];
      for (const user of users) rounds.push(await cutOverOne(mailferry, user));
      return rounds;
    } finally {
      await mailferry.close();
      await proxy.close();
    }
  } finally {
    await legacy.close();
  }
}

async function cutOverOne(mailferry: Mailferry, user: string): Promise<Round> {
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const patience = { timeoutMs: 600_000 };
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user], patience);
  if (migrated.code !== 0) throw new Error(migrated.stderr);
  const noops = askAllTheTime(client);
  const { code, stdout, stderr } = await runCli(
    ["cutover", "-c", mailferry.configFile, user, "--json"],
    patience,
  );
  const slowestNoopMs = await noops.stop();
  if (code !== 0) throw new Error(stderr);
  const { heldMs } = JSON.parse(stdout) as { heldMs: number };
  process.stderr.write(`${user}: ${heldMs} ms, slowest NOOP ${slowestNoopMs.toFixed(0)} ms\n`);
  client.close();
  return { heldMs, slowestNoopMs };
}

function askAllTheTime(client: ImapClient): { stop(): Promise<number> } {
  let isOver = false;
  const slowest = (async () => {
    let most = 0;
    while (!isOver) {
      const started = performance.now();
      await client.ok("NOOP");
      most = Math.max(most, performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return most;
  })();
  return {
    stop() {
      isOver = true;
      return slowest;
    },
  };
}
