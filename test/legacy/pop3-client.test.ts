/** The POP3 client against servers that do what no real one does on demand, and against a real one. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { TooSoon } from "../../src/errors.ts";
import { openPop3, type Pop3Session } from "../../src/legacy/pop3-client.ts";
import { Secret } from "../../src/mail/secret.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { testCertificate } from "../helpers/tls.ts";
import { type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

const { signal } = new AbortController();
const credentials = { login: "alice", password: new Secret("pa ss") };
let server: ScriptedServer;

afterEach(async () => {
  await server?.close();
});

async function serve(script: (peer: Peer) => Promise<void>): Promise<void> {
  server = await scriptedServer(script);
}

const open = (
  options: { readonly commandMs?: number; readonly connectMs?: number } = {},
): Promise<Pop3Session> =>
  openPop3(
    { host: "127.0.0.1", port: server.port, tls: "none", verify: false, timeouts: options },
    credentials,
    signal,
  );

/** Greets and logs in; `capabilities` are those of CAPA, none where it is refused. */
async function logIn(peer: Peer, ...capabilities: string[]): Promise<void> {
  const capa = capabilities.length === 0 ? "-ERR what?\r\n" : `+OK\r\n${capabilities.join("\r\n")}\r\n.\r\n`;
  peer.send("+OK ready\r\n");
  await expectLine(peer, "CAPA");
  peer.send(capa);
  await expectLine(peer, "USER alice");
  peer.send("+OK\r\n");
  await expectLine(peer, "PASS pa ss");
  peer.send("+OK\r\n");
  await expectLine(peer, "CAPA");
  peer.send(capa);
}

async function expectLine(peer: Peer, expected: string): Promise<void> {
  const line = await peer.line();
  if (line !== expected) throw new Error(`expected ${expected}, got ${line}`);
}

async function fetch(session: Pop3Session, number: number): Promise<string> {
  const pieces: Buffer[] = [];
  await session.retrieve(number, (piece) => void pieces.push(piece));
  return Buffer.concat(pieces).toString("latin1");
}

const mail = "Subject: \xe4\r\n\r\n.\r\n..\r\n.a\r\nbare\nLF \0 \xff\r\n";
const wire = "+OK\r\nSubject: \xe4\r\n\r\n..\r\n...\r\n..a\r\nbare\nLF \0 \xff\r\n.\r\n";

it("asks for messages as they are where the server would change 8-bit headers (RFC 6856)", async () => {
  await serve(async (peer) => {
    peer.send("+OK ready\r\n");
    await expectLine(peer, "CAPA");
    peer.send("+OK\r\nUTF8 USER\r\n.\r\n");
    await expectLine(peer, "UTF8");
    peer.send("+OK\r\n");
    await expectLine(peer, "USER alice");
    peer.send("+OK\r\n");
    await expectLine(peer, "PASS pa ss");
    peer.send("+OK\r\n");
    await expectLine(peer, "CAPA");
    peer.send("+OK\r\n.\r\n");
    await expectLine(peer, "RETR 1");
    peer.send(wire);
  });
  expect(await fetch(await open(), 1)).toBe(mail);
  expect(server.failures).toEqual([]);
});

it("a server that answers CAPA without a list is asked nothing of the kind again", async () => {
  const asked: string[] = [];
  await serve(async (peer) => {
    peer.send("+OK ready\r\n");
    for (;;) {
      const line = await peer.line();
      asked.push(line);
      peer.send(line === "RETR 1" ? wire : "+OK\r\n");
    }
  });
  const config = { host: "127.0.0.1", port: server.port, tls: "none", verify: false } as const;
  for (let login = 0; login < 2; login++) {
    const session = await openPop3(config, credentials, signal);
    expect(await fetch(session, 1)).toBe(mail);
    session.close();
  }
  expect(asked.filter((line) => line === "CAPA")).toHaveLength(1);
});

it.each(["-ERR [LOGIN-DELAY] wait", "-ERR minimum time between logins is 20 s"])(
  "says that it is too soon: %s",
  async (refusal) => {
    await serve(async (peer) => {
      peer.send("+OK ready\r\n");
      await expectLine(peer, "CAPA");
      peer.send("-ERR\r\n");
      await expectLine(peer, "USER alice");
      peer.send("+OK\r\n");
      await expectLine(peer, "PASS pa ss");
      peer.send(`${refusal}\r\n`);
    });
    await expect(open()).rejects.toBeInstanceOf(TooSoon);
  },
);

describe("what a server sends", () => {
  it.each([1, 2, 3, 5, 7, 1_000])("is read the same in packets of %i bytes", async (size) => {
    await serve(async (peer) => {
      await logIn(peer);
      for (let count = 0; count < 2; count++) {
        await expectLine(peer, "RETR 1");
        await peer.sendInPieces(wire, size);
      }
      await expectLine(peer, "LIST");
      await peer.sendInPieces("+OK 2 messages\r\n1 120 octets\r\n2 3000000000\r\n.\r\n", size);
      await expectLine(peer, "UIDL");
      await peer.sendInPieces("+OK\r\n1 a b\xff\r\n2 2\r\nnonsense\r\n.\r\n", size);
    });
    const session = await open();
    expect(await fetch(session, 1)).toBe(mail);
    expect(await fetch(session, 1)).toBe(mail);
    expect([...(await session.list())]).toEqual([
      [1, 120],
      [2, 3_000_000_000],
    ]);
    expect([...(await session.uidls())]).toEqual([
      [1, "a b\xff"],
      [2, "2"],
    ]);
    expect(server.failures).toEqual([]);
  });

  it("in the middle of a message and then nothing more, is no message", async () => {
    await serve(async (peer) => {
      await logIn(peer);
      await peer.line();
      peer.send("+OK\r\nSubject: half\r\n\r\nhalf\r\n.");
    });
    await expect(fetch(await open(), 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("and then a reset, fails what was asked and all that comes after", async () => {
    await serve(async (peer) => {
      await logIn(peer, "PIPELINING");
      await peer.line();
      peer.send("+OK\r\nSubject: half\r\n");
      peer.socket.resetAndDestroy();
    });
    const session = await open();
    const outcomes = await Promise.allSettled([fetch(session, 1), fetch(session, 2), session.noop()]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    await expect(session.noop()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(session.isClosed).toBe(true);
  });

  it("too slowly, is given up", async () => {
    await serve(async (peer) => {
      await logIn(peer);
      await peer.line();
      peer.send("+OK\r\nSubj");
      await peer.line();
    });
    await expect(fetch(await open({ commandMs: 50 }), 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("that is no POP3, is given up", async () => {
    await serve(async (peer) => {
      peer.send("220 smtp.example.com ESMTP\r\n");
      await peer.line();
    });
    await expect(open()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("before anybody has asked, is given up", async () => {
    await serve(async (peer) => {
      await logIn(peer);
      await expectLine(peer, "NOOP");
      peer.send("+OK\r\n+OK\r\n");
      await peer.line();
    });
    const session = await open();
    await session.noop();
    await expect(session.noop()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("commands", () => {
  it("go out together where the server bears it", async () => {
    await serve(async (peer) => {
      await logIn(peer, "PIPELINING", "UIDL");
      for (const expected of ["DELE 1", "DELE 2", "TOP 3 0"]) await expectLine(peer, expected);
      peer.send("+OK\r\n-ERR no such message\r\n+OK\r\nSubject: c\r\n\r\n.\r\n");
    });
    const session = await open();
    const [first, second, third] = await Promise.allSettled([
      session.remove(1),
      session.remove(2),
      session.top(3, 0),
    ]);
    expect(first).toMatchObject({ status: "fulfilled" });
    expect(second).toMatchObject({
      status: "rejected",
      reason: { code: "CANNOT", message: "no such message" },
    });
    expect(third).toMatchObject({ value: Buffer.from("Subject: c\r\n\r\n") });
  });

  it("go out one by one where it does not say so", async () => {
    await serve(async (peer) => {
      await logIn(peer);
      await expectLine(peer, "DELE 1");
      await new Promise((resolve) => setImmediate(resolve));
      if (peer.socket.readableLength > 0) throw new Error("the next one came too early");
      peer.send("+OK\r\n");
      await expectLine(peer, "DELE 2");
      peer.send("+OK\r\n");
    });
    const session = await open();
    await Promise.all([session.remove(1), session.remove(2)]);
    expect(server.failures).toEqual([]);
  });

  it("hold the server back while bytes are not taken", async () => {
    await serve(async (peer) => {
      await logIn(peer);
      await expectLine(peer, "RETR 1");
      peer.send(`+OK\r\n${"x".repeat(100_000)}\r\n.\r\n`);
    });
    const session = await open();
    let pending = 0;
    let most = 0;
    await session.retrieve(1, async () => {
      most = Math.max(most, ++pending);
      await new Promise((resolve) => setImmediate(resolve));
      pending--;
    });
    expect(most).toBe(1);
  });

  it("go on while bytes are taken more slowly than a server may keep silent", async () => {
    await serve(async (peer) => {
      await logIn(peer);
      await expectLine(peer, "RETR 1");
      peer.send(`+OK\r\n${"x".repeat(200_000)}\r\n.\r\n`);
      await peer.line();
    });
    const session = await open({ commandMs: 50 });
    let sizeBytes = 0;
    await session.retrieve(1, async (piece) => {
      sizeBytes += piece.length;
      await delay(80);
    });
    expect(sizeBytes).toBe(200_002);
    session.close();
  });

  it.each([
    ["nothing is marked", [], "resolves"],
    ["a message is marked", ["DELE 1"], "rejects"],
    ["none is marked any more", ["DELE 1", "RSET"], "resolves"],
  ] as const)("QUIT may be answered by hanging up where %s", async (_, commands, outcome) => {
    await serve(async (peer) => {
      await logIn(peer);
      for (const line of commands) {
        await expectLine(peer, line);
        peer.send("+OK\r\n");
      }
      await expectLine(peer, "QUIT");
    });
    const session = await open();
    for (const line of commands) await (line === "RSET" ? session.reset() : session.remove(1));
    if (outcome === "resolves") await session.quit();
    else await expect(session.quit()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("logging in", () => {
  const refusing = (answer: string) =>
    serve(async (peer) => {
      peer.send("+OK\r\n");
      await peer.line();
      peer.send("-ERR\r\n");
      await peer.line();
      peer.send("+OK\r\n");
      await peer.line();
      peer.send(answer);
    });

  it.each([
    ["-ERR [AUTH] Authentication failed.\r\n", "AUTHENTICATIONFAILED"],
    ["-ERR wrong\r\n", "AUTHENTICATIONFAILED"],
    ["-ERR [IN-USE] Mailbox is locked\r\n", "INUSE"],
    ["-ERR maildrop already locked\r\n", "INUSE"],
    ["-ERR Can't get exclusive access to your spool\r\n", "INUSE"],
    ["-ERR mailbox busy\r\n", "INUSE"],
    ["-ERR Account is locked\r\n", "AUTHENTICATIONFAILED"],
    ["-ERR [AUTH] Invalid password, please try again\r\n", "AUTHENTICATIONFAILED"],
    ["-ERR login delay\r\n", "UNAVAILABLE"],
    ["-ERR [SYS/TEMP] later\r\n", "UNAVAILABLE"],
    ["-ERR [LOGIN-DELAY] later\r\n", "UNAVAILABLE"],
  ])("%j means %s", async (answer, code) => {
    await refusing(answer);
    await expect(open()).rejects.toMatchObject({ code });
  });

  it("by SASL PLAIN where there is one, for somebody else where that is asked", async () => {
    let response = "";
    await serve(async (peer) => {
      peer.send("+OK\r\n");
      await peer.line();
      peer.send("+OK\r\nSASL PLAIN LOGIN\r\n.\r\n");
      response = await peer.line();
      peer.send("+OK\r\n");
      await peer.line();
      peer.send("+OK\r\n.\r\n");
    });
    await openPop3(
      { host: "127.0.0.1", port: server.port, tls: "none", verify: false },
      { login: "master", password: new Secret("pässword"), authorizationId: "alice" },
      signal,
    );
    expect(response).toBe(`AUTH PLAIN ${Buffer.from("alice\0master\0pässword").toString("base64")}`);
  });

  it("refuses what no password can be without asking", async () => {
    await serve(async (peer) => {
      peer.send("+OK\r\n");
      await peer.line();
      peer.send("-ERR\r\n");
      throw new Error(`asked ${await peer.line()}`);
    });
    const broken = { login: "alice", password: new Secret("a\r\nDELE 1") };
    const opening = openPop3(
      { host: "127.0.0.1", port: server.port, tls: "none", verify: false },
      broken,
      signal,
    );
    await expect(opening).rejects.toMatchObject({ code: "AUTHENTICATIONFAILED" });
  });

  it("may take longer than connecting: the server reads a big maildrop first", async () => {
    await serve(async (peer) => {
      peer.send("+OK\r\n");
      for (let line = await peer.line(); line !== "QUIT"; line = await peer.line()) {
        if (line.startsWith("PASS")) await delay(300);
        peer.send(line === "CAPA" ? "-ERR\r\n" : "+OK\r\n");
      }
      peer.send("+OK\r\n");
    });
    await (await open({ connectMs: 100, commandMs: 5_000 })).quit();
  });

  it("ends when it is not wanted any more", async () => {
    await serve(async (peer) => void (await peer.line()));
    const leaving = new AbortController();
    const opening = openPop3(
      { host: "127.0.0.1", port: server.port, tls: "none", verify: false },
      credentials,
      leaving.signal,
    );
    leaving.abort(new Error("not wanted"));
    await expect(opening).rejects.toThrow("not wanted");
  });

  it("takes nothing that was sent before TLS", async () => {
    await serve(async (peer) => {
      peer.send("+OK\r\n");
      await expectLine(peer, "STLS");
      peer.send("+OK begin\r\n+OK injected\r\n");
      await peer.line();
    });
    const opening = openPop3(
      {
        host: "127.0.0.1",
        port: server.port,
        tls: "starttls",
        verify: false,
        timeouts: { connectMs: 1_000 },
      },
      credentials,
      signal,
    );
    await expect(opening).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("with a real Dovecot", () => {
  it.each(["none", "starttls", "implicit"] as const)("tls: %s", async (tls) => {
    const dovecot = await startDovecot({ users: ["alice"], tls: true });
    onTestFinished(() => dovecot.close());
    const client = await dovecot.client("alice");
    const texts = ["Subject: a\r\n\r\n.\r\n.x\r\n\xff\r\n", "Subject: b\r\n\r\nb\r\n"];
    for (const text of texts) await client.ok("APPEND INBOX ", Buffer.from(text, "latin1"));
    const port = tls === "implicit" ? dovecot.ports.pop3s : dovecot.ports.pop3;
    const session = await openPop3(
      { host: "127.0.0.1", port: port ?? 0, tls, verify: true, ca: readFileSync(testCertificate().ca) },
      { login: "alice", password: new Secret(dovecot.passwordOf("alice")) },
      signal,
    );
    expect([...(await session.list()).values()]).toEqual(texts.map((text) => text.length));
    expect((await session.uidls()).size).toBe(2);
    expect(await Promise.all([fetch(session, 1), fetch(session, 2)])).toEqual(texts);
    expect((await session.top(2, 0)).toString()).toBe("Subject: b\r\n\r\n");
    await session.remove(1);
    await session.reset();
    await session.remove(2);
    await session.quit();
    expect((await client.ok("NOOP")).status).toBe("OK");
    await client.ok("SELECT INBOX");
    expect((await client.ok("UID SEARCH ALL")).untagged.map(String)).toContain("* SEARCH 1");
  });
});
