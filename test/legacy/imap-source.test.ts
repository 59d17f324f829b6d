/** The pool: what is reused, retried, given back, waited for. */
import { afterEach, describe, expect, it } from "vitest";
import { createConnectionBudget } from "../../src/legacy/budget.ts";
import { createImapSource, type ImapConnectionPool, proveLogin } from "../../src/legacy/imap-source.ts";
import type { LegacyServerConfig } from "../../src/legacy/server-config.ts";
import type { ImapLease, Priority } from "../../src/legacy/source.ts";
import { silentLogger } from "../../src/log.ts";
import { encodedMailboxName, inbox } from "../../src/mail/ids.ts";
import { Secret } from "../../src/mail/secret.ts";
import { waitUntil } from "../helpers/wait-until.ts";
import { type Peer, playLogin, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

const never = new AbortController().signal;
const interactive = { priority: "interactive", signal: never } as const;
const background = { priority: "background", signal: never } as const;
const right = { login: "me", password: new Secret("secret") };
const wrong = { login: "me", password: new Secret("wrong") };
const names = ["A", "B", "C"].map(encodedMailboxName);
const [a = inbox, b = inbox] = names;

let server: ScriptedServer;
const sources: ImapConnectionPool[] = [];
afterEach(async () => {
  await Promise.all(sources.splice(0).map((source) => source.close()));
  await server.close();
  expect(server.failures).toEqual([]);
});

/** Answers STATUS, EXAMINE and LOGOUT for ever; notes each as `connection: command`. */
async function serveMail(peer: Peer, number: number, seen: string[] = []): Promise<void> {
  await playLogin(peer);
  for (;;) {
    const [tag = "", command = "", name = ""] = (await peer.line()).split(" ");
    seen.push(`${number}: ${command}${name && ` ${name}`}`);
    if (command === "STATUS") peer.send(`* STATUS ${name} (MESSAGES ${number})\r\n${tag} OK\r\n`);
    else if (command === "EXAMINE") {
      peer.send(`* 0 EXISTS\r\n* OK [UIDVALIDITY 1] v\r\n* OK [UIDNEXT 1] n\r\n${tag} OK\r\n`);
    } else if (command === "LOGOUT") {
      peer.send(`* BYE\r\n${tag} OK\r\n`);
      return;
    }
  }
}

function config(): LegacyServerConfig {
  return { host: "127.0.0.1", port: server.port, tls: "none", verify: true, timeouts: { connectMs: 5_000 } };
}

interface SourceOptions {
  readonly credentials?: () => typeof right | undefined;
  readonly budget?: ReturnType<typeof createConnectionBudget>;
  readonly user?: string;
  readonly idleMs?: number;
  readonly first?: Awaited<ReturnType<typeof proveLogin>>;
}

function openSource(options: SourceOptions = {}): ImapConnectionPool {
  const source = createImapSource({
    config: config(),
    credentials: () => right,
    budget: createConnectionBudget(),
    user: "me",
    logger: silentLogger,
    ...options,
  });
  sources.push(source);
  return source;
}

/** The number of the connection that answered. */
const whoAnswers = async (lease: ImapLease): Promise<number | undefined> => (await lease.status(a)).messages;

/** Holds a lease until `release` is called. */
function holdLease(
  source: ImapConnectionPool,
  priority: Priority,
  signal = never,
): { held: Promise<void>; done: Promise<void>; release: () => void } {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: held, resolve: onHeld } = Promise.withResolvers<void>();
  const done = source.use({ priority, signal }, async (lease) => {
    await whoAnswers(lease);
    onHeld();
    await released;
  });
  return { held, done, release };
}

describe("reuse", () => {
  it("one login serves the proof and all leases that follow each other", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const first = await proveLogin(config(), right, never);
    const source = openSource({ first });
    for (let count = 0; count < 3; count++) expect(await source.use(interactive, whoAnswers)).toBe(1);
    await source.useMailbox(inbox, background, async (lease) => expect(lease.examined.exists).toBe(0));
    expect(server.accepted).toBe(1);
  });

  it("prefers the connection that has the mailbox selected", async () => {
    const seen: string[] = [];
    server = await scriptedServer((peer, number) => serveMail(peer, number, seen));
    const source = openSource();
    await source.useMailbox(a, interactive, () => source.useMailbox(b, interactive, async () => undefined));
    seen.length = 0;
    for (const name of [a, b, b, a]) await source.useMailbox(name, interactive, async () => undefined);
    expect(seen).toEqual(['1: EXAMINE "A"', '2: EXAMINE "B"', '2: EXAMINE "B"', '1: EXAMINE "A"']);
  });

  it("a proven connection that nobody adopts can be closed; one too many is closed", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    await (await proveLogin(config(), right, never)).close();
    await waitUntil("it is closed", () => server.open === 0);
    const source = openSource({ budget: createConnectionBudget({ perUser: 1, total: 9 }) });
    source.adopt(await proveLogin(config(), right, never));
    source.adopt(await proveLogin(config(), right, never));
    await waitUntil("one is left", () => server.open === 1);
    expect(await source.use(interactive, whoAnswers)).toBe(2);
  });

  it("idle connections are closed after a while", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const source = openSource({ idleMs: 20 });
    await source.use(interactive, whoAnswers);
    await waitUntil("it is closed", () => server.open === 0);
    expect(await source.use(interactive, whoAnswers)).toBe(2);
  });

  it("idle connections make room for other users", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const budget = createConnectionBudget({ perUser: 2, total: 2 });
    const [one, two, three] = ["one", "two", "three"].map((user) => openSource({ budget, user }));
    for (const source of [one, two, three]) await source?.use(interactive, whoAnswers);
    await waitUntil("two are open", () => server.open === 2);
    expect(await two?.use(interactive, whoAnswers)).toBe(2);
    expect(await one?.use(interactive, whoAnswers)).toBe(4);
  });

  it("a lease that ends with commands in flight loses its connection", async () => {
    server = await scriptedServer(async (peer, number) => {
      if (number === 2) return serveMail(peer, number);
      await playLogin(peer);
      await peer.expect(/^STATUS/);
      await peer.line();
    });
    const source = openSource();
    let forgotten: Promise<unknown> | undefined;
    await source.use(interactive, async (lease) => {
      forgotten = lease.status(a);
      forgotten.catch(() => undefined);
    });
    await expect(forgotten).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await source.use(interactive, whoAnswers)).toBe(2);
  });
});

describe("a pooled connection that is dead", () => {
  it("is replaced once, unseen", async () => {
    server = await scriptedServer(async (peer, number) => {
      if (number > 1) return serveMail(peer, number);
      await playLogin(peer);
      const tag = await peer.expect(/^STATUS/);
      peer.send(`* STATUS A (MESSAGES 1)\r\n${tag} OK\r\n`);
      await peer.expect(/^STATUS/);
    });
    const source = openSource();
    expect(await source.use(interactive, whoAnswers)).toBe(1);
    expect(await source.use(interactive, whoAnswers)).toBe(2);
  });

  it.each([2, 3])("is replaced by a new one where all %i that were kept are dead", async (kept) => {
    server = await scriptedServer(async (peer, number) => {
      if (number > kept) return serveMail(peer, number);
      await playLogin(peer);
      const tag = await peer.expect(/^STATUS/);
      peer.send(`* STATUS A (MESSAGES ${number})\r\n${tag} OK\r\n`);
      await peer.line();
    });
    const source = openSource();
    const held = Array.from({ length: kept }, () => holdLease(source, "interactive"));
    await Promise.all(held.map((one) => one.held));
    for (const { release } of held) release();
    await Promise.all(held.map((one) => one.done));
    const exists = await source.shareMailbox(a, interactive, async (lease) => lease.examined.exists);
    expect(exists).toBe(0);
    expect(server.accepted).toBe(kept + 1);
  });

  it("is forgotten when it says so in time", async () => {
    server = await scriptedServer(async (peer, number) => {
      if (number > 1) return serveMail(peer, number);
      await playLogin(peer);
      const tag = await peer.expect(/^STATUS/);
      peer.send(`* STATUS A (MESSAGES 1)\r\n${tag} OK\r\n* BYE idle for too long\r\n`);
    });
    const source = openSource();
    await source.use(interactive, whoAnswers);
    await waitUntil("it is closed", () => server.open === 0);
    expect(await source.use(interactive, whoAnswers)).toBe(2);
  });

  it("is not replaced when it has answered, or is fresh", async () => {
    server = await scriptedServer(async (peer) => {
      await playLogin(peer);
      const tag = await peer.expect(/^STATUS/);
      peer.send(`* STATUS A (MESSAGES 1)\r\n${tag} OK\r\n`);
      await peer.expect(/^STATUS/);
      peer.send("* 1 EXISTS\r\n");
    });
    const source = openSource();
    await source.use(interactive, whoAnswers);
    await expect(source.use(interactive, whoAnswers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(server.accepted).toBe(1);
    await expect(
      source.use(interactive, async (lease) => [await whoAnswers(lease), await whoAnswers(lease)]),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(server.accepted).toBe(2);
  });
});

describe("the budget", () => {
  it("keeps one connection for interactive work", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const source = openSource({ budget: createConnectionBudget({ perUser: 2, total: 10 }) });
    const first = holdLease(source, "background");
    await first.held;
    const second = holdLease(source, "background");
    expect(await source.use(interactive, whoAnswers)).toBe(2);
    expect(server.accepted).toBe(2);
    first.release();
    second.release();
    await Promise.all([first.done, second.done]);
    expect(server.accepted).toBe(2);
  });

  it("is given back on abort, and the connection is closed", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const source = openSource({ budget: createConnectionBudget({ perUser: 1, total: 1 }) });
    const abort = new AbortController();
    const reason = new Error("client is gone");
    const hanging = source.use({ priority: "interactive", signal: abort.signal }, async (lease) => {
      await whoAnswers(lease);
      abort.abort(reason);
      return lease.status(a);
    });
    await expect(hanging).rejects.toBe(reason);
    const waiting = holdLease(source, "interactive");
    await waiting.held;
    const gone = new AbortController();
    const queued = source.use({ priority: "interactive", signal: gone.signal }, whoAnswers);
    gone.abort(reason);
    await expect(queued).rejects.toBe(reason);
    waiting.release();
    await waiting.done;
    expect(server.accepted).toBe(2);
  });
});

describe("credentials", () => {
  it("that are missing are a passing fault", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const source = openSource({ credentials: () => undefined });
    await expect(source.use(interactive, whoAnswers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(server.accepted).toBe(0);
  });

  it("that were refused are not tried again until they change", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    let credentials = wrong;
    const source = openSource({ credentials: () => credentials });
    for (let count = 0; count < 3; count++) {
      await expect(source.use(interactive, whoAnswers)).rejects.toMatchObject({
        code: "AUTHENTICATIONFAILED",
        message: "No, not you",
      });
    }
    expect(server.accepted).toBe(1);
    credentials = right;
    expect(await source.use(interactive, whoAnswers)).toBe(2);
  });
});

describe("a host that is away", () => {
  const limits = { perUser: 2, total: 4, backoff: { firstMs: 150, maxMs: 150 } };

  it("fails fast for interactive work of all its users; the background waits", async () => {
    server = await scriptedServer(async (peer, number) => {
      if (number > 1) await serveMail(peer, number);
    });
    const budget = createConnectionBudget(limits);
    const [one, two] = ["one", "two"].map((user) => openSource({ budget, user }));
    const unavailable = { code: "UNAVAILABLE" };
    await expect(one?.use(interactive, whoAnswers)).rejects.toMatchObject(unavailable);
    await expect(two?.use(interactive, whoAnswers)).rejects.toMatchObject(unavailable);
    const share = { budget, user: "three" };
    await expect(proveLogin(config(), right, never, { share })).rejects.toMatchObject(unavailable);
    expect(server.accepted).toBe(1);
    expect(await two?.use(background, whoAnswers)).toBe(2);
    expect(await one?.use(interactive, whoAnswers)).toBe(3);
  });

  it("is not thought away when it answers NO to one user", async () => {
    server = await scriptedServer(async (peer, number) => {
      if (number > 1) return serveMail(peer, number);
      peer.send("* OK hi\r\n");
      peer.send(`* CAPABILITY IMAP4rev1\r\n${await peer.expect(/^CAPABILITY/)} OK\r\n`);
      peer.send(`${await peer.expect(/^LOGIN/)} NO [INUSE] locked\r\n`);
    });
    const budget = createConnectionBudget(limits);
    const [one, two] = ["one", "two"].map((user) => openSource({ budget, user }));
    await expect(one?.use(interactive, whoAnswers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(one?.use(interactive, whoAnswers)).rejects.toMatchObject({ message: /locked/ });
    expect(await two?.use(interactive, whoAnswers)).toBe(2);
  });
});

it("loses nothing of what the server sends around the end of the login", async () => {
  server = await scriptedServer(async (peer, number) => {
    await playLogin(peer);
    peer.send(number === 1 ? "* OK [ALERT] half" : "* OK one\r\n* OK half");
    await new Promise((resolve) => setTimeout(resolve, 5));
    peer.send(" a line\r\n");
    const tag = await peer.expect(/^STATUS/);
    peer.send(`* STATUS A (MESSAGES ${number})\r\n${tag} OK\r\n`);
    if (number === 1) await peer.expect(/^STATUS/);
    else await peer.line();
  });
  const source = openSource();
  expect(await source.use(interactive, whoAnswers)).toBe(1);
  expect(await source.use(interactive, whoAnswers)).toBe(2);
});

describe("closing", () => {
  it("breaks a lease that waits for an answer", async () => {
    server = await scriptedServer(async (peer) => {
      await playLogin(peer);
      await peer.expect(/^STATUS/);
      void source.close();
      await peer.line();
    });
    const source = openSource();
    await expect(source.use(interactive, whoAnswers)).rejects.toMatchObject({ message: /being closed/ });
    await waitUntil("it is closed", () => server.open === 0);
  });

  it("ends waiting and closes idle connections", async () => {
    server = await scriptedServer((peer, number) => serveMail(peer, number));
    const source = openSource({ budget: createConnectionBudget({ perUser: 2, total: 9 }) });
    const held = holdLease(source, "interactive");
    await held.held;
    await source.use(interactive, whoAnswers);
    const other = holdLease(source, "interactive");
    await other.held;
    const queued = source.use(interactive, whoAnswers);
    queued.catch(() => undefined);
    other.release();
    await other.done;
    held.release();
    await source.close();
    await waitUntil("all are closed", () => server.open === 0);
    await Promise.allSettled([queued, held.done]);
    await expect(source.use(interactive, whoAnswers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    source.adopt(await proveLogin(config(), right, never));
    await waitUntil("all are closed", () => server.open === 0);
  });
});

describe("where the server has no room for another connection", () => {
  const oneOnly = (): Promise<ScriptedServer> =>
    scriptedServer(async (peer, number) => {
      if (number > 1) peer.send("* BYE Too many connections\r\n");
      else await serveMail(peer, number);
    });

  it("who only waits on one gives it up to who has work for it", async () => {
    server = await oneOnly();
    const source = openSource();
    const { promise: wanted, resolve: giveWay } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const waiting = source.use({ ...background, onWanted: giveWay }, async () => {
      begin();
      await wanted;
    });
    await begun;
    expect(await source.use(interactive, whoAnswers)).toBe(1);
    expect(source.trouble()).toContain("it closes the connection before the login");
    // At once too: the failure of the first try is fresh.
    await waiting;
    const again = source.use({ ...background, onWanted: () => release() }, () => held);
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    expect(await source.use(interactive, whoAnswers)).toBe(1);
    await again;
  });

  it("who works on it does not, and nobody is asked for one who would only wait", async () => {
    server = await oneOnly();
    const source = openSource();
    const working = holdLease(source, "interactive");
    await working.held;
    await expect(source.use(interactive, whoAnswers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    working.release();
    await working.done;
    let asked = 0;
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    const waiting = source.use({ ...background, onWanted: () => void asked++ }, () => {
      begin();
      return over;
    });
    await begun;
    const request = { ...interactive, onWanted: () => undefined };
    await expect(source.use(request, whoAnswers)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(asked).toBe(0);
    end();
    await waiting;
  });
});
