/** Logging in on a real Dovecot, and on servers that refuse in all the ways there are. */

import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { inspect } from "node:util";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { connectImap } from "../../src/legacy/connect.ts";
import { proveLogin } from "../../src/legacy/imap-source.ts";
import type { LegacyServerConfig } from "../../src/legacy/server-config.ts";
import { Secret } from "../../src/mail/secret.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { freePort } from "../helpers/free-port.ts";
import { testCertificate } from "../helpers/tls.ts";
import { type Peer, playLogin, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

const passwords: Record<string, string> = {
  plain: "secret",
  odd: ' sp ace "quo\\te" {3} %*() ',
  utf8: "pä§wörd €uro 密码",
  "do main/with slash": 'sl/äsh\\ "€',
};
const never = new AbortController().signal;

describe("a real server", () => {
  let dovecot: Dovecot;
  const started: Dovecot[] = [];
  beforeAll(async () => {
    const passwordOf = (user: string): string => passwords[user] ?? "";
    dovecot = await startDovecot({
      users: Object.keys(passwords),
      passwordOf,
      protocols: ["imap"],
      tls: true,
    });
    started.push(dovecot);
  });
  afterAll(() => Promise.all(started.map((server) => server.close())));

  const config = (more: Partial<LegacyServerConfig> = {}): LegacyServerConfig => ({
    host: "127.0.0.1",
    port: more.tls === "implicit" ? dovecot.ports.imaps : dovecot.ports.imap,
    tls: "none",
    verify: true,
    ...more,
  });
  const login = (user: string, password = passwords[user] ?? ""): { login: string; password: Secret } => ({
    login: user,
    password: new Secret(password),
  });

  it.each(Object.keys(passwords))("takes the password of %s", async (user) => {
    const { socket, capabilities, greeting } = await connectImap(config(), login(user), never);
    socket.destroy();
    expect([...capabilities]).toEqual(
      expect.arrayContaining(["IMAP4REV1", "CONDSTORE", "ESEARCH", "NAMESPACE"]),
    );
    expect(greeting).toMatch(/Dovecot/);
  });

  it.each([
    ["implicit", { tls: "implicit" }],
    ["STARTTLS", { tls: "starttls" }],
  ] as const)("is trusted by its authority only (%s)", async (_name, tls) => {
    const ca = readFileSync(testCertificate().ca);
    for (const trusted of [{ ca }, { verify: false }]) {
      const connection = await proveLogin(config({ ...tls, ...trusted }), login("odd"), never);
      expect((await connection.connection.run({ parts: ["NOOP"] })).status).toBe("OK");
      await connection.close();
    }
    const untrusted = connectImap(config(tls), login("odd"), never);
    await expect(untrusted).rejects.toMatchObject({ code: "UNAVAILABLE", message: /certificate|issuer/i });
  });

  it("refuses a wrong password in its own words", async () => {
    for (const wrong of ["wrong", "Secret", "pä§wörd"]) {
      const refused = connectImap(config(), login("plain", wrong), never);
      await expect(refused).rejects.toMatchObject({
        code: "AUTHENTICATIONFAILED",
        message: "Authentication failed.",
      });
    }
  });

  it("is not asked about passwords that cannot be sent", async () => {
    for (const impossible of ["", "a\0b", "a\r\nb"]) {
      const refused = connectImap({ ...config(), port: 1 }, login("plain", impossible), never);
      await expect(refused).rejects.toMatchObject({ code: "AUTHENTICATIONFAILED" });
    }
  });

  it("is unavailable when TLS is wanted and not there", async () => {
    const plainOnly = await startDovecot({ users: ["plain"], protocols: ["imap"] });
    started.push(plainOnly);
    for (const tls of ["starttls", "implicit"] as const) {
      const failed = connectImap({ ...config({ tls }), port: plainOnly.ports.imap }, login("plain"), never);
      await expect(failed).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
  });
});

describe("a server that does not let in", () => {
  let server: ScriptedServer | undefined;
  afterEach(async () => {
    await server?.close();
    expect(server?.failures ?? []).toEqual([]);
    server = undefined;
  });

  const credentials = { login: "me", password: new Secret("hunter2-geheim") };
  const attempt = async (
    script: (peer: Peer) => Promise<void>,
    timeoutMs = 20_000,
    signal = never,
    loginMs = timeoutMs,
  ): Promise<unknown> => {
    server = await scriptedServer(script);
    const config = { host: "127.0.0.1", port: server.port, tls: "none", verify: true } as const;
    return connectImap({ ...config, timeouts: { connectMs: timeoutMs, loginMs } }, credentials, signal);
  };
  const answering =
    (answer: string, capabilities = "IMAP4rev1") =>
    async (peer: Peer) => {
      peer.send(`* OK [CAPABILITY ${capabilities}] hi\r\n`);
      for (;;) {
        const [tag = "", command = ""] = (await peer.line()).split(" ");
        if (command === "CAPABILITY") peer.send(`* CAPABILITY ${capabilities}\r\n${tag} OK\r\n`);
        else if (command === "AUTHENTICATE") {
          peer.send("+ \r\n");
          await peer.line();
          peer.send(answer.replace("TAG", tag));
        } else if (command === "LOGIN") peer.send(answer.replace("TAG", tag));
      }
    };

  it.each([
    ["TAG NO [AUTHENTICATIONFAILED] Falsch\r\n", "AUTHENTICATIONFAILED", "Falsch"],
    ["TAG NO LOGIN failed.\r\n", "AUTHENTICATIONFAILED", "LOGIN failed."],
    ["TAG NO [EXPIRED] Renew it\r\n", "AUTHENTICATIONFAILED", "Renew it"],
    ["TAG NO [UNAVAILABLE] Backend is down\r\n", "UNAVAILABLE", /Backend is down/],
    ["TAG NO [INUSE] Locked\r\n", "UNAVAILABLE", /Locked/],
    ["TAG NO [LIMIT] Enough\r\n", "UNAVAILABLE", /Enough/],
    ["TAG NO [PRIVACYREQUIRED] TLS\r\n", "UNAVAILABLE", /TLS/],
    ["TAG NO Temporary authentication failure\r\n", "UNAVAILABLE", /Temporary/],
    ["TAG NO [ALERT] Too many simultaneous connections. (Failure)\r\n", "UNAVAILABLE", /Too many/],
    ["TAG BAD What?\r\n", "UNAVAILABLE", /What/],
    ["* BYE Enough\r\n", "UNAVAILABLE", /./],
  ])("answering %s", async (answer, code, message) => {
    for (const capabilities of ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"]) {
      const failed = attempt(answering(answer, capabilities));
      await expect(failed).rejects.toMatchObject({
        code,
        message: typeof message === "string" ? message : expect.stringMatching(message),
      });
      await server?.close();
    }
  });

  it.each([
    ["BYE", async (peer: Peer) => peer.send("* BYE Too many connections\r\n")],
    ["closing", async (peer: Peer) => void peer.socket.destroy()],
    [
      "closing at the login",
      async (peer: Peer) => {
        peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
        await peer.line();
        peer.socket.destroy();
      },
    ],
    [
      "PREAUTH",
      async (peer: Peer) => {
        peer.send("* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n");
        for (;;) peer.send(`${(await peer.line()).split(" ")[0]} OK\r\n`);
      },
    ],
    ["no LOGIN", answering("", "IMAP4rev1 LOGINDISABLED")],
  ])("by %s", async (_name, script) => {
    await expect(attempt(script)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("by telling of itself without end", async () => {
    const endless = async (peer: Peer): Promise<void> => {
      peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
      await peer.line();
      while (!peer.socket.destroyed) {
        if (!peer.socket.writableNeedDrain) peer.send("* OK one moment\r\n".repeat(100));
        await nextTurn();
      }
    };
    await expect(attempt(endless)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("but only takes its time after the greeting: it is waited for", async () => {
    const letIn = async (peer: Peer): Promise<void> => {
      peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
      for (;;) {
        const [tag = "", command = ""] = (await peer.line()).split(" ");
        // Longer than the connection itself may take.
        if (command === "LOGIN") await new Promise((resolve) => setTimeout(resolve, 300));
        peer.send(`* CAPABILITY IMAP4rev1\r\n${tag} OK\r\n`);
      }
    };
    const opened = (await attempt(letIn, 100, never, 60_000)) as { readonly socket: Socket };
    opened.socket.destroy();
  });
  it("by silence, at any point", async () => {
    const mute = async (peer: Peer): Promise<void> => void (await peer.line());
    await expect(attempt(mute, 60)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await server?.close();
    await expect(attempt(answering(""), 60)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("by not being there", async () => {
    const config = { host: "127.0.0.1", port: await freePort(), tls: "none", verify: true } as const;
    await expect(connectImap(config, credentials, never)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("is left at once on abort", async () => {
    const abort = new AbortController();
    const reason = new Error("client is gone");
    const failed = attempt(
      async (peer) => {
        peer.send("* OK hi\r\n");
        await peer.line();
        abort.abort(reason);
        await peer.line();
      },
      20_000,
      abort.signal,
    );
    await expect(failed).rejects.toBe(reason);
  });

  it("and nothing that is logged or thrown has the password in it", async () => {
    const lines: string[] = [];
    const logger = pino({ level: "trace" }, { write: (line: string) => void lines.push(line) });
    const written: string[] = [];
    const outputs = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write }));
    for (const { stream } of outputs) stream.write = (chunk) => written.push(String(chunk)) > 0;
    try {
      for (const answer of ["TAG NO [AUTHENTICATIONFAILED] no\r\n", "TAG BAD no\r\n", "* BYE\r\n"]) {
        for (const capabilities of ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"]) {
          const error = await attempt(answering(answer, capabilities)).catch((thrown: unknown) => thrown);
          logger.error({ err: error, credentials }, "failed");
          lines.push(inspect(error, { depth: 20, showHidden: true }));
          await server?.close();
        }
      }
      server = await scriptedServer((peer) => playLogin(peer));
      const config = { host: "127.0.0.1", port: server.port, tls: "none", verify: true } as const;
      const proven = await proveLogin(config, { login: "me", password: new Secret("secret") }, never, {
        logger,
      });
      await proven.close();
    } finally {
      for (const { stream, write } of outputs) stream.write = write;
    }
    const everything = [...lines, ...written].join("\n");
    expect(everything).toMatch(/connected to the old server/);
    const encoded = Buffer.from("\0me\0hunter2-geheim").toString("base64");
    for (const secret of ["hunter2", "geheim", encoded, '"secret"']) expect(everything).not.toContain(secret);
  });
});
