import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTop } from "../../src/mail/send-message.ts";
import { createLineBuffer, type Line } from "../../src/pop3/lines.ts";
import type { Listener } from "../../src/wire/listener.ts";
import { connectClient, type LineClient } from "../helpers/line-client.ts";
import type { MemoryAccount } from "../helpers/memory-account.ts";
import { createRandom } from "../helpers/random.ts";
import { playTranscript } from "../helpers/transcript.ts";
import { serveMaildrop } from "./served-maildrop.ts";

let account: MemoryAccount;
let server: Listener;
let port: number;

beforeEach(async () => {
  ({ account, server, port } = await serveMaildrop({ idleTimeoutMs: 500 }));
});
afterEach(() => server.close());

const transcript = join(import.meta.dirname, "../transcripts/pop3/session.txt");

it.each([false, true])("transcript, byte by byte: %s", async (byteByByte) => {
  await playTranscript(transcript, { port, byteByByte });
  await server.close();
  expect(account.openSessions()).toBe(0);
});

async function logIn(): Promise<LineClient> {
  const client = await connectClient(port);
  client.send("USER alice\r\nPASS secret\r\n");
  for (let count = 0; count < 3; count++) expect(await client.line()).toMatch(/^\+OK/);
  return client;
}

describe("a session", () => {
  it("sends bytes as they are, dots doubled", async () => {
    const socket = connect(port, "127.0.0.1");
    socket.write("USER alice\r\nPASS secret\r\nRETR 3\r\nQUIT\r\n");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(socket, "close");
    const received = Buffer.concat(chunks).toString("latin1");
    expect(received).toContain("+OK 15 octets\r\n..\r\n...\r\n\xff no end\r\n.\r\n+OK Logging out.");
  });

  it("removes nothing when the client vanishes, and gives the maildrop back", async () => {
    const client = await logIn();
    client.send("DELE 1\r\n");
    expect(await client.line()).toMatch(/^\+OK/);
    client.close();
    await expect.poll(() => account.openSessions()).toBe(0);
    const other = await logIn();
    other.send("STAT\r\n");
    expect(await other.line()).toMatch(/^\+OK 3 /);
    other.close();
  });

  it("says so when what was marked could not be removed", async () => {
    const client = await logIn();
    client.send("DELE 1\r\n");
    await client.line();
    account.mailbox("INBOX").unavailable = new Set([-1]);
    client.send("QUIT\r\n");
    expect(await client.line()).toBe("-ERR [SYS/TEMP] some deleted messages not removed");
    expect(await client.line()).toBeUndefined();
  });

  it("refuses a message that cannot be read, and goes on", async () => {
    const client = await logIn();
    account.mailbox("INBOX").unavailable = new Set([1]);
    client.send("RETR 1\r\nRETR 2\r\n");
    expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\]/);
    expect(await client.line()).toMatch(/^\+OK/);
    client.close();
  });

  it("gives up a client that does not read, which is no fault of ours", async () => {
    const { server: impatient, port: at, faults } = await serveMaildrop({ stallTimeoutMs: 100 });
    const socket = connect(at, "127.0.0.1").pause();
    socket.on("error", () => {});
    socket.write("CAPA\r\n".repeat(200_000));
    await expect.poll(() => impatient.connectionCount).toBe(1);
    await expect.poll(() => impatient.connectionCount, { timeout: 10_000 }).toBe(0);
    await impatient.close();
    socket.destroy();
    expect(faults).toEqual([]);
  });

  it("ends what idles, what floods, and what makes no sense", async () => {
    const idle = await logIn();
    expect(await idle.line()).toBe("-ERR Disconnected for inactivity.");
    expect(await idle.line()).toBeUndefined();
    const nonsense = await connectClient(port);
    nonsense.send("A\r\nB\r\nC\r\n");
    for (let count = 0; count < 4; count++) await nonsense.line();
    expect(await nonsense.line()).toBeUndefined();
    const flood = await connectClient(port);
    flood.send("x".repeat(3 << 20));
    await flood.line();
    expect(await flood.line()).toBeUndefined();
  });
});

describe("lines", () => {
  const all = (chunks: readonly Buffer[]): Line[] => {
    const buffer = createLineBuffer();
    const lines: Line[] = [];
    for (const chunk of chunks) {
      buffer.push(chunk);
      for (let line = buffer.next(); line; line = buffer.next()) {
        lines.push(line);
        if (line.kind === "flood") return lines;
      }
    }
    return lines;
  };

  it("are the same however they are cut", () => {
    const text = fc.array(fc.constantFrom("USER a\r\n", "\n", "\r", "x", "y".repeat(13_000), "\r\n", "\0"), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 20 }), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(""), "latin1");
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
          (a, b) => a - b,
        );
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(all(chunks)).toEqual(all([bytes]));
      }),
    );
  });

  it("TOP is the same however a message is cut", () => {
    const random = createRandom(5);
    for (let round = 0; round < 500; round++) {
      const lines = Array.from({ length: random.below(12) }, () => random.pick(["a: b", "", "x", ".", "\r"]));
      const bytes = Buffer.from(lines.join(random.pick(["\r\n", "\n"])));
      const wanted = random.below(5);
      const whole = Buffer.concat([createTop(wanted)(bytes) ?? Buffer.alloc(0)]);
      const top = createTop(wanted);
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at++) {
        const piece = top(bytes.subarray(at, at + 1));
        if (piece === undefined) break;
        pieces.push(piece);
      }
      expect(Buffer.concat(pieces).toString()).toBe(whole.toString());
    }
  });
});
