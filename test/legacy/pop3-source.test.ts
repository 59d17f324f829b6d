/** One session at a time at the old POP3 server, and clients go first. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ConnectionBudget, createConnectionBudget } from "../../src/legacy/budget.ts";
import { createPop3Source, type Pop3Source } from "../../src/legacy/pop3-source.ts";
import { provePop3Login } from "../../src/legacy/prove-pop3-login.ts";
import type { LegacyServerConfig } from "../../src/legacy/server-config.ts";
import { Secret } from "../../src/mail/secret.ts";
import { type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

const { signal } = new AbortController();
const credentials = { login: "alice", password: new Secret("pass") };
let server: ScriptedServer;
let source: Pop3Source;
let config: LegacyServerConfig;
let budget: ConnectionBudget;
let refusals: string[];
let commands: string[];

/** Lets one in at a time, as RFC 1939 4 has it. */
async function maildropServer(peer: Peer): Promise<void> {
  peer.send("+OK ready\r\n");
  for (;;) {
    const line = await peer.line();
    commands.push(line);
    if (line === "CAPA") peer.send("+OK\r\n.\r\n");
    else if (line.startsWith("PASS")) peer.send(`${refusals.shift() ?? "+OK"}\r\n`);
    else if (line === "LIST") peer.send("+OK\r\n1 10\r\n.\r\n");
    else peer.send("+OK\r\n");
    if (line === "QUIT") return;
  }
}

beforeEach(async () => {
  refusals = [];
  commands = [];
  server = await scriptedServer(maildropServer);
  config = { host: "127.0.0.1", port: server.port, tls: "none", verify: false };
  budget = createConnectionBudget({ perUser: 2, total: 3 });
  source = createPop3Source({
    config,
    credentials: () => credentials,
    budget,
    user: "alice",
  });
});

afterEach(async () => {
  await source.close();
  await server.close();
  expect(server.failures).toEqual([]);
});

it("the background ends in good order when a client comes, and has no place while he is there", async () => {
  const started = Promise.withResolvers<void>();
  const background = source.inBackground(signal, async (session, giveWay) => {
    await session.list();
    started.resolve();
    await new Promise((_, reject) => giveWay.addEventListener("abort", () => reject(giveWay.reason)));
  });
  const ended = expect(background).rejects.toMatchObject({ code: "INUSE" });
  await started.promise;
  // A server that has not noticed yet.
  refusals.push("-ERR [IN-USE] locked");
  const session = await source.open(signal);
  await ended;
  expect(commands.filter((line) => line === "QUIT")).toHaveLength(1);
  await expect(source.inBackground(signal, async () => undefined)).rejects.toMatchObject({ code: "INUSE" });
  await expect(source.open(signal)).rejects.toMatchObject({ code: "INUSE" });
  await session.quit();
  expect(await source.inBackground(signal, async (again) => (await again.list()).get(1))).toBe(10);
});

it("tells a client at once that somebody else is there", async () => {
  refusals.push("-ERR [IN-USE] locked");
  await expect(source.open(signal)).rejects.toMatchObject({ code: "INUSE" });
  expect(server.accepted).toBe(1);
  await (await source.open(signal)).quit();
});

describe("a server that wants time between two logins", () => {
  const wait = { seconds: 1, last: Number.NEGATIVE_INFINITY };
  async function patientServer(peer: Peer): Promise<void> {
    peer.send("+OK ready\r\n");
    for (let line = ""; line !== "QUIT"; ) {
      line = await peer.line();
      if (line === "CAPA") peer.send(`+OK\r\nLOGIN-DELAY ${wait.seconds}\r\n.\r\n`);
      else if (line.startsWith("PASS") && performance.now() - wait.last < wait.seconds * 1_000)
        peer.send("-ERR [LOGIN-DELAY] too soon\r\n");
      else {
        if (line.startsWith("PASS")) wait.last = performance.now();
        peer.send("+OK\r\n");
      }
    }
  }
  const start = async (seconds: number): Promise<Pop3Source> => {
    Object.assign(wait, { seconds, last: Number.NEGATIVE_INFINITY });
    await server.close();
    server = await scriptedServer(patientServer);
    config = { ...config, port: server.port };
    source = createPop3Source({ config, credentials: () => credentials, budget, user: "alice" });
    return source;
  };

  it("gets no login of ours too soon, whoever is behind it", async () => {
    const paced = await start(1);
    await paced.inBackground(signal, async () => undefined);
    // The server's refusal tells that it is meant.
    await (await paced.open(signal)).quit();
    expect(paced.backgroundInMs()).toBeGreaterThan(0);
    const proven = await provePop3Login({ config, credentials, budget, user: "alice" }, signal);
    paced.adopt(proven);
    await (await paced.open(signal)).quit();
    await paced.inBackground(signal, async () => undefined);
    expect(server.accepted).toBe(5);
  });

  it("keeps no client waiting for minutes: it is told when to come again", async () => {
    const paced = await start(900);
    await (await paced.open(signal)).quit();
    await expect(paced.open(signal)).rejects.toThrow(/^The next login may be in (900|899) seconds\.$/);
    expect(server.accepted).toBe(2);
    // The next one is to be the client's own.
    expect(paced.backgroundInMs()).toBeGreaterThan(1_700_000);
  });
});

it("uses the session on which the login was proven", async () => {
  source.adopt(await provePop3Login({ config, credentials, budget, user: "alice" }, signal));
  const session = await source.open(signal);
  await session.list();
  await session.quit();
  expect(server.accepted).toBe(1);
});

it("proofs of logins keep within the limits of the host, and fail fast while it is away", async () => {
  const prove = (user: string) => provePop3Login({ config, credentials, budget, user }, signal);
  const proven = await Promise.all(Array.from({ length: 20 }, (_, index) => prove(`user${index}`)));
  expect(server.accepted).toBe(20);
  const sessions = proven.flatMap((one) => one.take() ?? []);
  expect(sessions.length).toBeLessThanOrEqual(3);
  for (const session of sessions) session.close();
  const nobody = { ...config, port: 1 };
  const fail = () => provePop3Login({ config: nobody, credentials, budget, user: "alice" }, signal);
  await expect(fail()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(source.open(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(server.accepted).toBe(20);
});

it("gives its place in the budget back with the session, however it ends", async () => {
  for (let count = 0; count < 10; count++) {
    const session = await source.open(signal);
    if (count % 2 === 0) session.close();
    else await session.quit();
  }
  expect(server.accepted).toBe(10);
});

describe("the budget", () => {
  /** Ends the connection, or says nothing any more, at a command. */
  async function serving(at: string, outcome: "ends" | "is silent"): Promise<void> {
    await server.close();
    server = await scriptedServer(async (peer) => {
      peer.send("+OK ready\r\n");
      for (let line = await peer.line(); ; line = await peer.line()) {
        if (line !== at) peer.send(line === "CAPA" ? "+OK\r\n.\r\n" : "+OK\r\n");
        else if (outcome === "ends") return;
      }
    });
    config = { ...config, port: server.port };
  }
  const sourceOf = (user: string): Pop3Source =>
    createPop3Source({ config, credentials: () => credentials, budget, user });

  it("has the place back of a background session that breaks, for this user and others", async () => {
    await serving("LIST", "ends");
    for (let count = 0; count < 10; count++) {
      const looking = sourceOf(`user${count % 2}`).inBackground(signal, (session) => session.list());
      await expect(looking).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
  });

  it("has the place back of a proven session that the server ends", async () => {
    await serving("NOOP", "ends");
    for (let count = 0; count < 10; count++) {
      const proven = await provePop3Login({ config, credentials, budget, user: "alice" }, signal);
      const session = proven.take();
      await expect(session?.noop()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
    expect(budget.addIdle("alice", async () => undefined)).toBeDefined();
    expect(budget.addIdle("alice", async () => undefined)).toBeDefined();
  });

  it("makes room though a server does not answer QUIT, and gives out no session that is being left", async () => {
    await serving("QUIT", "is silent");
    const first = await provePop3Login({ config, credentials, budget, user: "user0" }, signal);
    for (let count = 1; count < 5; count++)
      await provePop3Login({ config, credentials, budget, user: `user${count}` }, signal);
    expect(first.take()).toBeUndefined();
  });
});
