/**
 * What harm costs: one session is timed alone and while others do their worst, and the server's memory is
 * read, which is to stay within 300 MB.
 *
 * `npm run bench -- hostile [--idle N] [--megabytes N]`
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { plainAccount } from "../test/helpers/account-plans.ts";
import { startDovecot } from "../test/helpers/dovecot.ts";
import { fillAccount } from "../test/helpers/filler.ts";
import type { ImapClient } from "../test/helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../test/helpers/mailferry.ts";
import { serverMemoryBytes } from "../test/helpers/server-memory.ts";
import { median } from "./measure.ts";

const megabyte = 1 << 20;
const messageBytes = 5 * megabyte;
/** No limit of ours is what is measured. */
const limits = { connections: 20_000, connectionsPerAddress: 20_000, sessionsPerUserAndAddress: 20_000 };

interface Attack {
  readonly name: string;
  /** Begins; gives what ends it. */
  readonly begin: () => Promise<() => void>;
}

export async function hostile(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { idle: { type: "string", default: "5000" }, megabytes: { type: "string", default: "500" } },
  });
  const idle = Number(values.idle);
  const messages = Math.ceil((Number(values.megabytes) * megabyte) / messageBytes);
  const legacy = await startDovecot({ users: ["victim", "villain"], started: false });
  try {
    await fillAccount(legacy, "villain", plainAccount({ seed: 1, messages, sizeBytes: messageBytes }));
    await fillAccount(legacy, "victim", plainAccount({ seed: 2, messages: 200, sizeBytes: 4_000 }));
    await legacy.start();
    const mailferry = await startMailferry({ legacy, extra: { limits, log: { level: "warn" } } });
    try {
      for (const user of legacy.users) {
        await (await mailferry.client(user)).ok("LOGOUT");
        const pulled = await runCli(["migrate", "-c", mailferry.configFile, user]);
        if (pulled.code !== 0) throw new Error(pulled.stderr);
      }
      const victim = await mailferry.client("victim");
      await victim.ok("SELECT INBOX");
      const login = `l LOGIN villain ${legacy.passwordOf("villain")}\r\n`;
      await report(mailferry, victim, attacks(mailferry.port("imap"), login, idle));
    } finally {
      await mailferry.close();
    }
  } finally {
    await legacy.close();
  }
}

function attacks(port: number, login: string, idle: number): Attack[] {
  const many = (count: number, open: () => Promise<() => void>) => async () => {
    const ends: (() => void)[] = [];
    for (let done = 0; done < count; done++) ends.push(await open());
    return () => {
      for (const end of ends) end();
    };
  };
  return [
    { name: "nothing", begin: async () => () => {} },
    { name: "a literal of 1 GB before login", begin: () => pour(port, "a LOGIN {1073741824}\r\n", "x") },
    { name: "a LITERAL+ of 1 GB before login", begin: () => pour(port, "a LOGIN {1073741824+}\r\n", "x") },
    { name: "a line without end before login", begin: () => pour(port, "a LOGIN ", "x") },
    { name: "a line of 100 MB", begin: () => pour(port, `${login}a SEARCH `, "(") },
    {
      name: "10,000 parentheses, again and again",
      begin: () => pour(port, login, `a SEARCH ${"(".repeat(10_000)}\r\n`),
    },
    { name: "commands without reading", begin: () => pour(port, login, "a CAPABILITY\r\n", "deaf") },
    { name: "10 that FETCH all and do not read", begin: many(10, () => fetchAll(port, login)) },
    { name: `${idle} connections before login`, begin: many(idle, () => openOne(port, "")) },
    {
      name: `${idle} in IDLE`,
      begin: many(idle, () => openOne(port, `${login}s SELECT INBOX\r\ni IDLE\r\n`)),
    },
  ];
}

async function report(mailferry: Mailferry, victim: ImapClient, list: readonly Attack[]): Promise<void> {
  const rows: string[] = [];
  for (const { name, begin } of list) {
    const before = serverMemoryBytes(mailferry.pid);
    const end = await begin();
    const [noopMs, fetchMs] = await latencies(victim);
    const after = serverMemoryBytes(mailferry.pid);
    end();
    const mb = (bytes: number): string => (bytes / megabyte).toFixed(0);
    rows.push(
      `| ${name} | ${noopMs.join(" / ")} | ${fetchMs.join(" / ")} | ${mb(after)} | ${mb(after - before)} |`,
    );
    process.stderr.write(`${rows.at(-1)}\n`);
  }
  const head =
    "| meanwhile | NOOP ms, median / worst | FETCH ms | server MB | of it new |\n|---|---|---|---|---|";
  process.stdout.write(`${head}\n${rows.join("\n")}\n`);
}

async function latencies(victim: ImapClient): Promise<[string[], string[]]> {
  const noops: number[] = [];
  const fetches: number[] = [];
  for (let round = 0; round < 100; round++) {
    noops.push(await timed(() => victim.ok("NOOP")));
    fetches.push(await timed(() => victim.ok("FETCH 1:50 (FLAGS ENVELOPE)")));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const shown = (times: number[]): string[] => [median(times), Math.max(...times)].map((ms) => ms.toFixed(1));
  return [shown(noops), shown(fetches)];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Sends `head`, then one piece again and again as fast as it is taken. */
async function pour(port: number, head: string, piece: string, deaf?: "deaf"): Promise<() => void> {
  const socket = await connected(port);
  if (deaf) socket.pause();
  socket.write(head);
  const chunk = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)));
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on("drain", more);
  more();
  return () => socket.destroy();
}

async function fetchAll(port: number, login: string): Promise<() => void> {
  const socket = await connected(port);
  socket.pause();
  socket.write(`${login}s SELECT INBOX\r\na FETCH 1:* BODY.PEEK[]\r\n`);
  return () => socket.destroy();
}

/** Connected, and answered as often as it has sent a line. */
async function openOne(port: number, commands: string): Promise<() => void> {
  const socket = await connected(port);
  if (commands !== "") {
    socket.write(commands);
    let seen = "";
    while (!/^\+ idling/m.test(seen)) seen += (await once(socket, "data"))[0];
  }
  socket.resume();
  return () => socket.destroy();
}

async function connected(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  await once(socket, "data");
  return socket;
}
