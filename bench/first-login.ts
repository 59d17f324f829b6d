/**
 * The first login of a user whose account is not here: LOGIN, SELECT and `UID SEARCH ALL` on an INBOX of
 * 50,000 messages, through Mailferry and straight at the legacy server, and the first FETCH of a body
 * while the background pull is running. Each round is another user, whose mailbox the legacy server has
 * indexed before, as on any day of its life.
 *
 * `npm run bench -- first-login [--rounds N] [--messages N]`
 */
import { parseArgs } from "node:util";
import { plainAccount } from "../test/helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../test/helpers/dovecot.ts";
import { fillAccount } from "../test/helpers/filler.ts";
import { connectImap, type ImapClient } from "../test/helpers/imap-client.ts";
import { runCli, startMailferry } from "../test/helpers/mailferry.ts";
import { median } from "./measure.ts";

const phases = ["LOGIN", "SELECT", "UID SEARCH ALL", "UID FETCH BODY[]"] as const;
type Phase = (typeof phases)[number];
type Timings = Record<Phase, number>;

export async function firstLogin(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: "string", default: "5" }, messages: { type: "string", default: "50000" } },
  });
  const rounds = Number(values.rounds);
  const messages = Number(values.messages);
  // One more user than rounds: the first one warms both servers up and is not counted.
  const users = Array.from({ length: rounds + 1 }, (_, index) => `user${index}`);
  const legacy = await startDovecot({ users, started: false });
  try {
    for (const user of users) {
      await fillAccount(legacy, user, plainAccount({ seed: 1, messages, sizeBytes: 400 }));
    }
    await legacy.start();
    for (const user of users) await indexOnce(legacy, user);
    const mailferry = await startMailferry({ legacy });
    try {
      const straight: Timings[] = [];
      const through: Timings[] = [];
      for (const user of users) {
        straight.push(await session(legacy.ports.imap, user, legacy.passwordOf(user), messages));
        through.push(await session(mailferry.port("imap"), user, legacy.passwordOf(user), messages));
        // The machine is this user's alone: the pull that the login has started must not meet the next one.
        const pulled = await runCli(["migrate", "-c", mailferry.configFile, user]);
        if (pulled.code !== 0) throw new Error(pulled.stderr);
      }
      report(messages, straight.slice(1), through.slice(1));
    } finally {
      await mailferry.close();
    }
  } finally {
    await legacy.close();
  }
}

async function indexOnce(legacy: Dovecot, user: string): Promise<void> {
  const client = await legacy.client(user);
  await client.ok("SELECT INBOX");
  await client.ok("LOGOUT");
}

async function session(port: number, user: string, password: string, messages: number): Promise<Timings> {
  const timings: Timings = { LOGIN: 0, SELECT: 0, "UID SEARCH ALL": 0, "UID FETCH BODY[]": 0 };
  const client: ImapClient = await connectImap({ port });
  const time = async (phase: Phase, command: string): Promise<void> => {
    const started = performance.now();
    await client.ok(command);
    timings[phase] = performance.now() - started;
  };
  await time("LOGIN", `LOGIN ${user} ${password}`);
  await time("SELECT", "SELECT INBOX");
  await time("UID SEARCH ALL", "UID SEARCH ALL");
  // A second later the background pull is in full swing; an old message is what it comes to last.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await time("UID FETCH BODY[]", `FETCH ${Math.floor(messages / 10)} (BODY.PEEK[])`);
  await client.ok("LOGOUT");
  return timings;
}

function report(messages: number, straight: readonly Timings[], through: readonly Timings[]): void {
  const of = (timings: readonly Timings[], wanted: readonly Phase[]): number =>
    median(timings.map((one) => wanted.reduce((sum, phase) => sum + one[phase], 0)));
  const row = (name: string, wanted: readonly Phase[]): string => {
    const [there, here] = [of(straight, wanted), of(through, wanted)];
    return `| ${name} | ${there.toFixed(1)} | ${here.toFixed(1)} | ${(here / there).toFixed(2)} |`;
  };
  const lines = [
    `### first login, ${messages} messages in INBOX`,
    "",
    "| | straight ms | through Mailferry ms | ratio |",
    "|---|---|---|---|",
    row("LOGIN + SELECT + UID SEARCH ALL", ["LOGIN", "SELECT", "UID SEARCH ALL"]),
    ...phases.map((phase) => row(phase, [phase])),
  ];
  process.stdout.write(`\n${lines.join("\n")}\n`);
}
