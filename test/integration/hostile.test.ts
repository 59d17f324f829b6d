/**
 * Clients that mean harm, against a real server process in front of a real Dovecot: each gets a clear
 * answer or a BYE, another session is served all the while, and memory stays where it was.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { type AccountPlan, fillAccount, type MessagePlan } from "../helpers/filler.ts";
import { connectClient, type LineClient } from "../helpers/line-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { serverMemoryBytes } from "../helpers/server-memory.ts";
import { testCertificate } from "../helpers/tls.ts";

/** Less than any attack below would cost if it were kept; garbage and the pull take some of it. */
const mostGrowthBytes = 128 << 20;

let legacy: Dovecot;
let mailferry: Mailferry;
let bystander: LineClient;

beforeAll(async () => {
  legacy = await startDovecot({ users: ["alice", "bob", "carol", "dave", "erin"], started: false });
  await fillAccount(legacy, "alice", plainAccount({ seed: 3, messages: 30, sizeBytes: 2 << 20 }));
  await fillAccount(legacy, "bob", plainAccount({ seed: 4, messages: 5, sizeBytes: 500 }));
  await fillAccount(legacy, "erin", longHeaders(80));
  await legacy.start();
  mailferry = await startMailferry({
    legacy,
    extra: {
      auth: { trustedNetworks: [] },
      limits: { connections: 40, connectionsPerAddress: 12, sessionsPerUserAndAddress: 6 },
    },
  });
  bystander = await logIn("bob");
  await bystander.command("s SELECT INBOX");
});

afterAll(async () => {
  await mailferry?.close();
  await legacy?.close();
});

/** Messages with headers of 4 MB. */
function longHeaders(count: number): AccountPlan {
  const bytes = Buffer.from(`Subject: long\n${`X-Filler: ${"x".repeat(990)}\n`.repeat(4_000)}\nbody\n`);
  const messages = (): MessagePlan[] =>
    Array.from({ length: count }, (_, index) => ({
      uid: index + 1,
      bytes,
      flags: [],
      epochSeconds: 1_700_000_000,
    }));
  return { mailboxes: [{ path: ["INBOX"], uidValidity: 7, messages }], subscriptions: [], specialUse: {} };
}

async function connect(): Promise<LineClient> {
  const client = await connectClient(mailferry.port("imap"));
  await client.line();
  return client;
}

async function logIn(user: string): Promise<LineClient> {
  const client = await connect();
  expect((await client.command(`l LOGIN ${user} ${legacy.passwordOf(user)}`)).at(-1)).toMatch(/^l OK/);
  return client;
}

async function migrated(user: string): Promise<void> {
  const { code, stderr } = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect([code, stderr]).toEqual([0, expect.anything()]);
}

async function others(): Promise<void> {
  expect((await bystander.command("n NOOP")).at(-1)).toBe("n OK NOOP completed.");
  expect((await bystander.command("f FETCH 1:* (FLAGS)")).at(-1)).toBe("f OK Fetch completed.");
}

/** Sends a megabyte again and again, as fast as the server takes it, until that many or the end. */
async function flood(client: LineClient, megabytes: number, byte: string): Promise<void> {
  const chunk = Buffer.alloc(1 << 20, byte);
  for (let sent = 0; sent < megabytes && !client.socket.destroyed; sent++) {
    await new Promise<void>((resolve) => client.socket.write(chunk, () => resolve()));
  }
}

describe("before login", () => {
  it("a literal of 1 GB is refused, or ends the connection where the client does not ask", async () => {
    const asking = await connect();
    expect(await asking.command("a LOGIN {1073741824}")).toEqual(["a BAD Literal too long"]);
    expect(await asking.command("b NOOP")).toEqual(["b OK NOOP completed."]);
    asking.close();
    const forcing = await connect();
    forcing.send("a LOGIN {1073741824+}\r\n");
    expect(await forcing.line()).toBe("* BYE Too much input.");
    expect(await forcing.line()).toBeUndefined();
    await others();
  });

  it("a line without end is no more than 64 KB of it", async () => {
    const client = await connect();
    const before = serverMemoryBytes(mailferry.pid);
    const sending = flood(client, 250, "x");
    expect(await client.line()).toBe("* BYE Too much input.");
    client.close();
    await sending;
    expect(serverMemoryBytes(mailferry.pid) - before).toBeLessThan(mostGrowthBytes);
    await others();
  });
});

describe("after login", () => {
  it("a line of 250 MB is passed over", async () => {
    const client = await logIn("alice");
    const before = serverMemoryBytes(mailferry.pid);
    client.send("a SEARCH ");
    await flood(client, 250, "(");
    await others();
    client.send("\r\nb NOOP\r\n");
    expect(await client.until("b ")).toEqual(["a BAD Command too long", "b OK NOOP completed."]);
    expect(serverMemoryBytes(mailferry.pid) - before).toBeLessThan(mostGrowthBytes);
    client.close();
  });

  it("10,000 parentheses are too deep", async () => {
    const client = await logIn("alice");
    await client.command("s SELECT INBOX");
    expect(await client.command(`a SEARCH ${"(".repeat(10_000)}`)).toEqual(["a BAD Search nests too deep"]);
    expect(await client.command(`b FETCH 1 ${"(".repeat(10_000)}`)).toHaveLength(1);
    expect(await client.command("c NOOP")).toEqual(["c OK NOOP completed."]);
    client.close();
  });

  it("a message of 1 GB is refused before it is sent, and not kept when it is sent all the same", async () => {
    const client = await logIn("alice");
    const [refusal] = await client.command("a APPEND INBOX {1073741824}");
    expect(refusal).toMatch(/^a NO \[LIMIT\]/);
    client.send("b APPEND INBOX {209715200+}\r\n");
    await flood(client, 200, "y");
    await others();
    client.send("\r\n");
    expect((await client.until("b "))[0]).toMatch(/^b NO \[LIMIT\]/);
    expect(await client.command("c NOOP")).toEqual(["c OK NOOP completed."]);
    client.send("d APPEND INBOX {1073741824+}\r\n");
    expect(await client.line()).toBe("* BYE Too much input.");
  });

  it("one that fetches 1.2 GB and does not read holds nobody up, nor much memory", async () => {
    const client = await logIn("alice");
    await client.command("s SELECT INBOX");
    const before = serverMemoryBytes(mailferry.pid);
    client.socket.pause();
    client.send("a FETCH 1:* BODY.PEEK[]\r\n".repeat(20));
    for (let count = 0; count < 20; count++) await others();
    expect(serverMemoryBytes(mailferry.pid) - before).toBeLessThan(mostGrowthBytes);
    client.close();
  });
});

describe("mail", () => {
  // 320 MB of headers; a few at a time are garbage that is not collected yet.
  it("of headers of 4 MB each is not held in memory together", async () => {
    const client = await logIn("erin");
    await client.command("s SELECT INBOX");
    const before = serverMemoryBytes(mailferry.pid);
    expect((await client.command("a FETCH 1:* ENVELOPE")).at(-1)).toBe("a OK Fetch completed.");
    expect(serverMemoryBytes(mailferry.pid) - before).toBeLessThan(224 << 20);
    await migrated("erin");
    expect((await client.command("b FETCH 1:* (ENVELOPE BODYSTRUCTURE)")).at(-1)).toBe(
      "b OK Fetch completed.",
    );
    expect(serverMemoryBytes(mailferry.pid) - before).toBeLessThan(224 << 20);
    client.close();
  });
});

describe("STARTTLS", () => {
  it.each([
    ["a command", "b LOGIN bob stolen\r\n"],
    ["the beginning of one", "b LOGIN bob {10+}\r\nst"],
    ["a command and a handshake that is none", `b NOOP\r\n${"\x16\x03\x01".repeat(50)}`],
  ])("forgets %s behind it in the same packet", async (_title, injected) => {
    const client = await connectClient(mailferry.port("imap", "starttls"));
    await client.line();
    client.send(`a STARTTLS\r\n${injected}`);
    expect(await client.line()).toBe("a OK Begin TLS negotiation now.");
    await client.startTls({ ca: readFileSync(testCertificate().ca), servername: "localhost" });
    expect(await client.command("c NOOP")).toEqual(["c OK NOOP completed."]);
    expect((await client.command(`d LOGIN bob ${legacy.passwordOf("bob")}`)).at(-1)).toMatch(/^d OK/);
    client.close();
  });
});

describe("limits", () => {
  it("a user has so many sessions from one address", async () => {
    const sessions: LineClient[] = [];
    for (let count = 0; count < 6; count++) sessions.push(await logIn("carol"));
    const next = await connect();
    const attempt = `LOGIN carol ${legacy.passwordOf("carol")}`;
    expect(await next.command(`a ${attempt}`)).toEqual([
      "a NO [LIMIT] Maximum number of connections from user+IP exceeded",
    ]);
    await sessions[0]?.command("z LOGOUT");
    expect(await sessions[0]?.line()).toBeUndefined();
    expect((await next.command(`b ${attempt}`)).at(-1)).toMatch(/^b OK/);
    for (const session of [...sessions, next]) session.close();
  });

  it("an address has so many connections", async () => {
    const clients: LineClient[] = [];
    let greeting: string | undefined;
    while (clients.length < 20 && !greeting?.startsWith("* BYE")) {
      clients.push(await connectClient(mailferry.port("imap")));
      greeting = await clients.at(-1)?.line();
    }
    expect(greeting).toBe("* BYE Too many connections from your address.");
    await others();
    for (const client of clients) client.close();
  });

  it("wrong passwords hold the next login back, a good one clears that, and nobody else waits", async () => {
    const client = await logInAfterLimits();
    for (const password of ["wrong", "wronger"])
      expect((await client.command(`a LOGIN dave ${password}`))[0]).toMatch(/AUTHENTICATIONFAILED/);
    const started = performance.now();
    const right = client.command(`b LOGIN dave ${legacy.passwordOf("dave")}`);
    await others();
    expect((await right).at(-1)).toMatch(/^b OK/);
    expect(performance.now() - started).toBeGreaterThan(1_000);
    const again = performance.now();
    await logIn("dave");
    expect(performance.now() - again).toBeLessThan(1_000);
  });

  /** The places of the connections before are free once the server has seen them close. */
  async function logInAfterLimits(): Promise<LineClient> {
    for (;;) {
      const client = await connectClient(mailferry.port("imap"));
      if ((await client.line())?.startsWith("* OK")) return client;
    }
  }
});
