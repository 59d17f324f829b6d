import { readFileSync } from "node:fs";
import { Writable } from "node:stream";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { createAdmission } from "../../src/auth/admission.ts";
import type { ImapServerOptions } from "../../src/imap/server.ts";
import { connectClient } from "../helpers/line-client.ts";
import { testCertificate } from "../helpers/tls.ts";
import { type Served, serveAccount, testTlsContext } from "./served-account.ts";

let served: Served | undefined;

async function serve(options: Partial<ImapServerOptions> = {}): Promise<Served> {
  served = await serveAccount(options);
  return served;
}

afterEach(async () => {
  await served?.close();
  served = undefined;
});

const tlsClient = () => ({ ca: readFileSync(testCertificate().ca), servername: "localhost" });

describe("limits", () => {
  it("sends a client away after three bad commands before login, twenty after", async () => {
    const { connect, logIn } = await serve();
    const stranger = await connect();
    stranger.send("a FOO\r\nb NOOP\r\nc FOO\r\nd FOO\r\ne FOO\r\nf NOOP\r\n");
    const lines = await stranger.until("* BYE");
    expect(lines).toHaveLength(6);
    expect(await stranger.line()).toBeUndefined();

    const known = await logIn();
    for (let count = 0; count < 20; count++) known.send("a FOO\r\n");
    expect(await known.until("* BYE")).toHaveLength(21);
    expect(await known.line()).toBeUndefined();
  });

  it("takes lines of 8 KB before login and 64 KB after", async () => {
    const { connect, logIn } = await serve();
    const stranger = await connect();
    expect(await stranger.command(`a LOGIN x ${"y".repeat(9_000)}`)).toEqual(["a BAD Command too long"]);
    expect(await stranger.command("b LOGIN {5000}")).toEqual(["b BAD Literal too long"]);
    const known = await logIn();
    const set = Array.from({ length: 10_000 }, (_, index) => index * 2 + 1).join(",");
    expect(set.length).toBeLessThan(64_000);
    await known.command("s SELECT INBOX");
    expect(await known.command(`c UID FETCH ${set} UID`)).toHaveLength(3);
    expect(await known.command(`d UID FETCH ${"1".repeat(70_000)} UID`)).toEqual(["d BAD Command too long"]);
  });

  it("gives up a client that floods it", async () => {
    const { connect } = await serve();
    const client = await connect();
    client.send("a LOGIN {70000+}\r\n");
    expect(await client.line()).toBe("* BYE Too much input.");
    expect(await client.line()).toBeUndefined();
  });

  it("ends what does not log in, and what idles after that", async () => {
    const { connect, logIn } = await serve({ loginTimeoutMs: 400, idleTimeoutMs: 600 });
    const known = await logIn();
    const stranger = await connect();
    stranger.send("a LOGI");
    expect(await stranger.line()).toBe("* BYE Disconnected for inactivity before login.");
    expect(await known.line()).toBe("* BYE Disconnected for inactivity.");
    expect(await known.line()).toBeUndefined();
  });

  it("reads no more commands from a client that does not read its answers, and gives it up", async () => {
    const { connect, logIn } = await serve({ stallTimeoutMs: 500 });
    const [deaf, other] = [await connect(), await logIn()];
    deaf.socket.pause();
    const closed = new Promise((resolve) => deaf.socket.once("close", resolve));
    for (let count = 0; count < 100; count++) deaf.send("a CAPABILITY\r\n".repeat(5_000));
    const lost = await Promise.race([closed.then(() => true), other.command("b NOOP").then(() => false)]);
    expect(lost).toBe(false);
    await closed;
  });

  it("greets one that may not come in with BYE, and counts it no more", async () => {
    const admit = createAdmission({ maxConnections: 2, maxPerAddress: 1, isTrusted: () => false });
    const { connect, port } = await serve({ admit });
    const inside = await connect();
    const outside = await connectClient(port);
    expect(await outside.line()).toBe("* BYE Too many connections from your address.");
    expect(await outside.line()).toBeUndefined();
    expect((await inside.command("a LOGOUT")).at(-1)).toMatch(/^a OK/);
    expect(await inside.line()).toBeUndefined();
    await expect.poll(async () => (await connectClient(port)).line()).toMatch(/^\* OK/);
  });

  it("sends a client away after ten wrong passwords", async () => {
    const { connect, account } = await serve();
    const client = await connect();
    for (let count = 0; count < 12; count++) client.send("a LOGIN alice wrong\r\n");
    expect(await client.until("* BYE")).toHaveLength(11);
    expect(await client.line()).toBeUndefined();
    expect(account.logins).toHaveLength(10);
  });

  it("ends a SASL dialogue that never goes on", async () => {
    const { connect } = await serve({ loginTimeoutMs: 300 });
    const client = await connect();
    client.send("a AUTHENTICATE PLAIN\r\n");
    expect(await client.line()).toBe("+ ");
    expect(await client.until("* BYE")).toHaveLength(2);
  });

  it("holds a failed login back without holding back others", async () => {
    const { connect } = await serve({ loginFailureDelayMs: 500 });
    const [wrong, right] = [await connect(), await connect()];
    const answered: string[] = [];
    const started = performance.now();
    const refused = wrong.command("a LOGIN alice wrong").then(() => answered.push("wrong"));
    await right.command("a LOGIN alice secret").then(() => answered.push("right"));
    await refused;
    expect(answered).toEqual(["right", "wrong"]);
    expect(performance.now() - started).toBeGreaterThan(490);
  });
});

describe("commands in a row", () => {
  it("answers pipelined commands one after the other", async () => {
    const { connect, inbox } = await serve();
    const client = await connect();
    let release = (): void => {};
    inbox.gate = new Promise((resolve) => {
      release = resolve;
    });
    client.send("a LOGIN alice secret\r\nb SELECT INBOX\r\nc FETCH 1 FLAGS\r\nd NOOP\r\ne LOGOUT\r\n");
    expect((await client.until("b OK")).at(-1)).toBe("b OK [READ-ONLY] Select completed.");
    release();
    const rest = await client.until("e OK");
    expect(rest).toEqual([
      "* 1 FETCH (FLAGS (\\Seen))",
      "c OK Fetch completed.",
      "d OK NOOP completed.",
      "* BYE Logging out",
      "e OK Logout completed.",
    ]);
  });

  it("answers a client that has closed its side already", async () => {
    const { connect } = await serve();
    const client = await connect();
    client.socket.end("a LOGIN alice secret\r\nb NAMESPACE\r\n");
    expect((await client.until("b OK")).at(-1)).toBe("b OK Namespace completed.");
    expect(await client.line()).toBeUndefined();
  });

  it("gives the account back when the client vanishes", async () => {
    const { select, account, inbox, server } = await serve();
    const client = await select();
    client.socket.resetAndDestroy();
    await server.close(1_000);
    expect([account.openSessions(), inbox.openCount]).toEqual([0, 0]);
  });
});

describe("TLS", () => {
  it("takes passwords from this machine, and from elsewhere only over TLS or when allowed", async () => {
    const { connect } = await serve({ tls: "starttls", tlsContext: testTlsContext() });
    const client = await connect();
    expect((await client.command("a CAPABILITY"))[0]).toMatch(/ STARTTLS AUTH=PLAIN AUTH=LOGIN$/);
  });

  it("changes to TLS and drops what was sent before", async () => {
    const { connect, account } = await serve({ tls: "starttls", tlsContext: testTlsContext() });
    const client = await connect();
    client.send("a STARTTLS\r\nb LOGIN alice secret\r\nc LOGIN {5+}\r\nal");
    expect(await client.line()).toBe("a OK Begin TLS negotiation now.");
    await client.startTls(tlsClient());
    const capability = (await client.command("d CAPABILITY"))[0];
    expect(capability).toMatch(/ AUTH=PLAIN AUTH=LOGIN$/);
    expect(capability).not.toContain("STARTTLS");
    expect(account.logins).toEqual([]);
    expect(await client.command("e STARTTLS")).toEqual(["e NO TLS is already active."]);
    expect((await client.command("f LOGIN alice secret")).at(-1)).toMatch(/^f OK/);
    expect(account.logins[0]?.peer).toMatchObject({ secure: true, protocol: "imap" });
    expect((await client.command("g LOGOUT")).at(-1)).toBe("g OK Logout completed.");
    expect(await client.line()).toBeUndefined();
  });

  it("speaks TLS from the first byte where it is implicit", async () => {
    const { port } = await serve({ tls: "implicit", tlsContext: testTlsContext() });
    const client = await connectClient(port, tlsClient());
    expect(await client.line()).toMatch(/^\* OK \[CAPABILITY .* AUTH=PLAIN AUTH=LOGIN\]/);
    expect((await client.command("a LOGIN alice secret")).at(-1)).toMatch(/^a OK/);
    expect(await client.command("b SELECT INBOX")).toContain("* 3 EXISTS");
  });

  it("closes what is no TLS, or too slow at it", async () => {
    const { port, server } = await serve({
      tls: "implicit",
      tlsContext: testTlsContext(),
      loginTimeoutMs: 100,
    });
    const plain = await connectClient(port);
    plain.send("a NOOP\r\n\r\n");
    await plain.until("nothing").catch(() => {});
    const silent = await connectClient(port);
    expect(await silent.line()).toBeUndefined();
    await server.close(1_000);
    expect(server.connectionCount).toBe(0);
  });
});

describe("starting and stopping", () => {
  it("greets nobody before it accepts", async () => {
    const { account } = await serve();
    const { createImapServer } = await import("../../src/imap/server.ts");
    const { silentLogger } = await import("../../src/log.ts");
    const server = createImapServer({
      hostname: "h",
      login: account.login,
      allowPlaintextLogin: false,
      tls: "none",
      logger: silentLogger,
    });
    const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
    await expect(server.listen({ host: "127.0.0.1", port })).rejects.toThrow();
    const client = await connectClient(port);
    let greeted = false;
    const greeting = client.line().then((line) => {
      greeted = true;
      return line;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(greeted).toBe(false);
    server.accept();
    expect(await greeting).toMatch(/^\* OK .* h Mailferry ready\.$/);
    await server.close();
  });

  it("reports a port that is taken", async () => {
    const first = await serve();
    const second = await serveAccount();
    await expect(second.server.listen({ host: "127.0.0.1", port: first.port })).rejects.toThrow();
    await second.close();
  });

  it("lets the running command end, then says BYE", async () => {
    const { select, connect, inbox, server, account } = await serve();
    const [busy, idle] = [await select(), await connect()];
    let release = (): void => {};
    inbox.gate = new Promise((resolve) => {
      release = resolve;
    });
    busy.send("a FETCH 1 FLAGS\r\nb NOOP\r\n");
    await expect.poll(() => inbox.calls.length).toBe(1);
    const closed = server.close(5_000);
    expect(await idle.line()).toBe("* BYE Server shutting down.");
    release();
    expect(await busy.until("* BYE")).toEqual([
      "* 1 FETCH (FLAGS (\\Seen))",
      "a OK Fetch completed.",
      "* BYE Server shutting down.",
    ]);
    await closed;
    expect(account.openSessions()).toBe(0);
    expect(server.connectionCount).toBe(0);
  });

  it("says BYE, and no NO, to a client in IDLE", async () => {
    const { select, server } = await serve();
    const client = await select();
    client.send("a IDLE\r\n");
    expect(await client.line()).toBe("+ idling");
    const closed = server.close(5_000);
    expect(await client.line()).toBe("* BYE Server shutting down.");
    expect(await client.line()).toBeUndefined();
    await closed;
  });

  it("cuts off what does not end in time", async () => {
    const { select, inbox, server } = await serve();
    const busy = await select();
    inbox.gate = new Promise(() => {});
    busy.send("a FETCH 1 FLAGS\r\n");
    await expect.poll(() => inbox.calls.length).toBe(1);
    await server.close(50);
    expect(await busy.line()).toBeUndefined();
  });
});

describe("the log", () => {
  it("has one line a command and never a password", async () => {
    const lines: string[] = [];
    const sink = new Writable({
      write: (chunk: Buffer, _, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const { connect } = await serve({ logger: pino({ level: "trace", base: null }, sink) });
    const client = await connect();
    await client.command("a LOGIN alice hunter2");
    await client.command('b LOGIN alice "hunter2"');
    await client.command("hunter2 hunter2 hunter2");
    client.send("c LOGIN alice {7}\r\nhunter2\r\n");
    await client.until("c ");
    await client.command(`d AUTHENTICATE PLAIN ${Buffer.from("\0alice\0hunter2").toString("base64")}`);
    await client.command("e LOGIN broken hunter2");
    client.send(`f AUTHENTICATE PLAIN\r\n${Buffer.from("\0alice\0secret").toString("base64")}\r\n`);
    await client.until("f ");
    await client.command("g CAPABILITY");
    const log = lines.join("");
    expect(log).not.toMatch(/hunter2|secret"|AGFsaWNl/);
    const commands = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "imap command");
    expect(commands.map(({ command, result }) => [command, result])).toEqual([
      ["LOGIN", "NO [AUTHENTICATIONFAILED]"],
      ["LOGIN", "NO [AUTHENTICATIONFAILED]"],
      ["unknown", "BAD"],
      ["LOGIN", "NO [AUTHENTICATIONFAILED]"],
      ["AUTHENTICATE", "NO [AUTHENTICATIONFAILED]"],
      ["LOGIN", "NO [SERVERBUG]"],
      ["AUTHENTICATE", "OK [CAPABILITY]"],
      ["CAPABILITY", "OK"],
    ]);
    expect(commands.at(-1)).toMatchObject({
      account: "alice",
      durationMs: expect.any(Number),
      bytes: expect.any(Number),
    });
  });
});
