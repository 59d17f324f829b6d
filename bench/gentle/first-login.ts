/**
 * The first login of a user who is not here: each round another user, and a server of its own that is in use, as one
 * is on the day of a migration: other accounts have come over before, and no earlier pull is still running. Right after it old messages are read one by
 * one, while the background pull that the login has started goes on; straight there is none.
 */
import { setTimeout as delay } from "node:timers/promises";
import { startCountingProxy } from "../../test/helpers/counting-proxy.ts";
import { median } from "../measure.ts";
import { connectThin, type ThinClient } from "../thin-client.ts";
import { perOperation } from "./counting.ts";
import type { Place } from "./measures.ts";
import { untilQuiet } from "./quiet.ts";
import { choose, cpuOf, type OnBoth, onBoth, type Row, type Servers, type Way } from "./rounds.ts";
import { bringOver, type FrontServer, pullsEnded, type Site, startFront } from "./site.ts";

const steps = ["LOGIN", "SELECT INBOX", "UID FETCH 1:* FLAGS"] as const;
const bodies = 20;
/** After the login the background pull is certainly under way; then a body every now and then, as people read. */
const pullBeginsMs = 600;
const bodyEveryMs = 20;

interface Login {
  /** Of each step. */
  readonly ms: readonly number[];
  readonly cpuMs: number;
  readonly frontCpuMs: number;
  readonly bodyMs: readonly number[];
}

export interface FirstUsers {
  /** One for each round. */
  readonly timed: readonly string[];
  readonly counted: string;
  /** Who have come over before. */
  readonly before: readonly string[];
}

export async function firstLogins(site: Site, users: FirstUsers): Promise<Row[]> {
  const rounds: OnBoth<Login>[] = [];
  let pullsOver = 0;
  for (const [round, user] of users.timed.entries()) {
    const server = await serverInUse(site, site.old.port, users.before);
    try {
      const logIn = (port: number): Promise<Login> =>
        logInFirst(site.place(user, port), [site.old, server], round);
      const ended = await pullsEnded(server);
      // Straight changes nothing there, so that one user serves both.
      rounds.push({ straight: await logIn(site.old.port), through: await logIn(server.port) });
      if ((await pullsEnded(server)) > ended) pullsOver++;
    } finally {
      await server.close();
    }
  }
  const commands = await countFirstLogin(site, users);
  const of = (pick: (login: Login) => number): OnBoth<number[]> =>
    onBoth((way: Way) => rounds.map((round) => pick(round[way])));
  const note = pullsOver > 0 ? ` (over before the last in ${pullsOver} of ${rounds.length} rounds)` : "";
  return [
    {
      title: "first login, LOGIN to all flags",
      ms: of(({ ms }) => ms.reduce((sum, one) => sum + one, 0)),
      cpuMs: of(({ cpuMs }) => cpuMs),
      frontCpuMs: rounds.map(({ through }) => through.frontCpuMs),
      commands,
    },
    ...steps.map((step, index) => ({ title: `first login, ${step}`, ms: of(({ ms }) => ms[index] ?? 0) })),
    { title: `old body during the pull, median${note}`, ms: of(({ bodyMs }) => median(bodyMs)) },
    { title: "old body during the pull, slowest", ms: of(({ bodyMs }) => Math.max(...bodyMs)) },
  ];
}

async function logInFirst(place: Place, servers: Servers, round: number): Promise<Login> {
  await untilQuiet(servers);
  const [old, front] = cpuOf(servers);
  const client = await connectThin(place.port);
  const started = performance.now();
  const ms = await takeSteps(client, place);
  const [oldAfter, frontAfter] = cpuOf(servers);
  await delay(Math.max(0, started + pullBeginsMs - performance.now()));
  const bodyMs: number[] = [];
  // The pull begins with the newest; these are of the older half.
  for (const uid of choose(place.uids.slice(0, place.uids.length / 2), bodies, round)) {
    bodyMs.push(await timed(() => client.ok(`UID FETCH ${uid} (BODY.PEEK[])`)));
    await delay(bodyEveryMs);
  }
  client.close();
  return { ms, cpuMs: oldAfter - old, frontCpuMs: frontAfter - front, bodyMs };
}

async function takeSteps(client: ThinClient, { user, password }: Place): Promise<number[]> {
  return [
    await timed(() => client.ok(`LOGIN ${user} ${password}`)),
    await timed(() => client.ok("SELECT INBOX")),
    await timed(() => client.ok("UID FETCH 1:* (FLAGS)")),
  ];
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function serverInUse(site: Site, oldPort: number, users: readonly string[]): Promise<FrontServer> {
  const server = await startFront(site.old.dovecot, oldPort);
  try {
    for (const user of users) await bringOver(server, user, site.old.dovecot.passwordOf(user));
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

async function countFirstLogin(site: Site, { counted, before }: FirstUsers): Promise<string> {
  const proxy = await startCountingProxy(site.old.port);
  try {
    const server = await serverInUse(site, proxy.port, before);
    try {
      await untilQuiet([site.old, server]);
      proxy.reset();
      const client = await connectThin(server.port);
      await takeSteps(client, site.place(counted, server.port));
      const commands = perOperation(proxy.counts(), 1);
      client.close();
      return commands;
    } finally {
      await server.close();
    }
  } finally {
    await proxy.close();
  }
}
