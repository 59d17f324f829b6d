/**
 * Many sessions on one mailbox, each with random commands, each checking its view by the rules; at the end all views
 * are equal. Nobody is disconnected, and nothing is answered BAD.
 */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import type { CommandPiece, ImapClient } from "../helpers/imap-client.ts";
import { createAccount, startMailferry } from "../helpers/mailferry.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { createViewModel, type During, type ViewModel } from "../helpers/view-model.ts";

export type Stage = "mirroring" | "local";

const user = "alice";
const password = "pass-alice";
const sessions = 20;

export async function manySessions(stage: Stage, durationMs: number, seed: number): Promise<void> {
  console.log(`${stage}, seed ${seed}`);
  const legacy = stage === "mirroring" ? await startDovecot({ users: [user], extraConfig }) : undefined;
  const mailferry = await startMailferry(legacy ? { legacy, extra } : { extra });
  try {
    if (stage === "local") await createAccount(mailferry, user, password);
    const connect = (): Promise<ImapClient> => mailferry.client(user, password);
    const first = await connect();
    for (const name of ["Work", "Other"]) await first.ok(`CREATE ${name}`);
    for (let count = 0; count < 20; count++) await append(first, "Work", `no. ${count}`);
    const workers: Worker[] = [];
    for (let index = 0; index < sessions; index++) workers.push(await openWorker(await connect()));
    const ends = performance.now() + durationMs;
    const counts = await Promise.all(
      workers.map(async (worker, index) => {
        const random = createRandom(seed + index * 7919);
        let commands = 0;
        for (; performance.now() < ends; commands++) await act(worker, random);
        return commands;
      }),
    );
    console.log(
      `${counts.reduce((sum, count) => sum + count)} commands, ${Math.min(...counts)} to ${Math.max(...counts)} a session`,
    );
    for (const worker of [...workers, ...workers]) await worker.run("other", "NOOP");
    for (const worker of workers) await worker.run("FETCH", "FETCH 1:* (UID FLAGS)");
    const expected = await viewOf(await connect());
    for (const { model } of workers) expect(describe(model)).toEqual(expected);
    if (legacy) expect(await viewOf(await legacy.client(user))).toEqual(expected);
    const claims = workers.flatMap(({ recent }) => [...recent]);
    expect(claims.length, "\\Recent is of one session").toBe(new Set(claims).size);
    expect((await mailferry.log()).match(/"level":50.*/g) ?? []).toEqual([]);
  } finally {
    await mailferry.close();
    await legacy?.close();
  }
}

const extra = { limits: { sessionsPerUserAndAddress: sessions + 10 } };
const extraConfig = "mail_max_userip_connections = 100\n";

interface Worker {
  readonly client: ImapClient;
  model: ViewModel;
  /** Of all times that the mailbox was selected. */
  readonly recent: Set<number>;
  /** The answer's status; throws where a rule is broken, and for BAD. */
  run(during: During, ...pieces: CommandPiece[]): Promise<"OK" | "NO">;
  select(): Promise<void>;
}

async function openWorker(client: ImapClient): Promise<Worker> {
  const recent = new Set<number>();
  const worker: Worker = {
    client,
    model: createViewModel(),
    recent,
    async run(during, ...pieces) {
      const { status, text, untagged } = await client.command(...pieces);
      for (const response of untagged) worker.model.take(response, during);
      if (status === "BAD") throw new Error(`${pieces.join("")}: BAD ${text}`);
      return status;
    },
    async select() {
      for (const uid of worker.model.recent) recent.add(uid);
      worker.model = createViewModel();
      await worker.run("other", "SELECT Work");
      // What was \Recent before is so to nobody else.
      await worker.run("FETCH", "FETCH 1:* (UID FLAGS)");
      for (const uid of worker.model.recent) recent.add(uid);
    },
  };
  await worker.select();
  return worker;
}

const flagNames = ["\\Seen", "\\Flagged", "\\Answered", "$Label1", "Work"];
const fetchWhat = [
  "FLAGS",
  "(UID FLAGS)",
  "ENVELOPE",
  "BODY.PEEK[]",
  "BODY[TEXT]",
  "(UID RFC822.SIZE BODYSTRUCTURE)",
];

async function act(worker: Worker, random: Random): Promise<void> {
  const { model, client } = worker;
  const known = model.uids.filter((uid) => uid !== undefined);
  const sequence = (): string => {
    const one = 1 + random.below(model.count);
    return random.pick([`${one}`, `${one}:*`, `${Math.max(1, one - 3)}:${one}`]);
  };
  const uids = (): string =>
    known.length === 0
      ? "1"
      : Array.from({ length: 1 + random.below(3) }, () => random.pick(known)).join(",");
  const change = (): string => {
    const silent = random.chance(0.4) ? ".SILENT" : "";
    return `${random.pick(["+", "-", ""])}FLAGS${silent} (${random.pick(flagNames)})`;
  };
  if (model.count < 5) {
    await append(client, "Work", "one more", worker);
    await worker.run("other", "NOOP");
    return;
  }
  switch (random.below(18)) {
    case 0:
    case 1:
      return void (await worker.run("FETCH", `FETCH ${sequence()} ${random.pick(fetchWhat)}`));
    case 2:
      return void (await worker.run("other", `UID FETCH ${uids()} ${random.pick(fetchWhat)}`));
    case 3:
    case 4:
      return void (await worker.run("STORE", `STORE ${sequence()} ${change()}`));
    case 5:
      return void (await worker.run("other", `UID STORE ${uids()} ${change()}`));
    case 6:
      if (model.count < 60) await append(client, "Work", random.words(3), worker);
      return;
    case 7:
      return void (await worker.run("other", `UID COPY ${uids()} ${model.count < 60 ? "Work" : "Other"}`));
    case 8:
      return void (await worker.run(
        "other",
        `${random.chance(0.5) ? `MOVE ${1 + random.below(model.count)}` : `UID MOVE ${uids()}`} Other`,
      ));
    case 9:
      await worker.run("other", `UID STORE ${uids()} +FLAGS.SILENT (\\Deleted)`);
      return void (await worker.run("other", random.chance(0.5) ? "EXPUNGE" : `UID EXPUNGE ${uids()}`));
    case 10:
    case 11:
      return void (await worker.run(
        "SEARCH",
        `SEARCH ${random.pick(["ALL", "UNSEEN", "SUBJECT more", "1:* FLAGGED"])}`,
      ));
    case 12:
      return void (await worker.run("other", `UID SEARCH ${random.pick(["ALL", "NOT SEEN"])}`));
    case 13:
      return void (await worker.run("other", random.chance(0.5) ? "CHECK" : "NOOP"));
    case 14: {
      const idle = await client.idle();
      await delay(random.below(100));
      const { untagged } = await idle.done();
      for (const response of untagged) model.take(response, "other");
      return;
    }
    case 15:
      if (random.chance(0.7)) return;
      await worker.run("other", random.chance(0.5) ? "CLOSE" : "UNSELECT");
      return worker.select();
    case 16:
      return random.chance(0.3) ? worker.select() : undefined;
    default:
      return pipelined(worker, [
        `STORE ${sequence()} ${change()}`,
        `FETCH ${sequence()} (UID FLAGS)`,
        "SEARCH ALL",
        "NOOP",
      ]);
  }
}

/** All are sent before one is answered; numbers that were right for the first must be right for the others. */
async function pipelined({ client, model }: Worker, commands: readonly string[]): Promise<void> {
  client.send(commands.map((command, index) => `p${index} ${command}\r\n`).join(""));
  for (const [index, command] of commands.entries()) {
    const verb = command.split(" ", 1)[0] ?? "";
    const during: During = verb === "FETCH" || verb === "STORE" || verb === "SEARCH" ? verb : "other";
    for (;;) {
      const response = await client.next();
      const text = response.toString("latin1", 0, 40);
      if (text.startsWith(`p${index} BAD`)) throw new Error(`${command}: ${text}`);
      if (text.startsWith(`p${index} `)) break;
      model.take(response, during);
    }
  }
}

async function append(client: ImapClient, to: string, subject: string, worker?: Worker): Promise<void> {
  const message = Buffer.from(`Subject: ${subject}\r\n\r\ntext\r\n`);
  if (worker) await worker.run("other", `APPEND ${to} (\\Draft) `, message);
  else await client.ok(`APPEND ${to} `, message);
}

async function viewOf(client: ImapClient): Promise<string[]> {
  const model = createViewModel();
  for (const response of (await client.ok("EXAMINE Work")).untagged) model.take(response, "other");
  for (const response of (await client.ok("FETCH 1:* (UID FLAGS)")).untagged) model.take(response, "FETCH");
  client.close();
  return describe(model);
}

function describe({ uids, flags }: ViewModel): string[] {
  return uids.map((uid) => `${uid}: ${uid === undefined ? "?" : flags.get(uid)}`);
}
