/** IDLE beside other commands, as bytes on the wire. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { keepIdling } from "../../src/legacy/idle.ts";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import { connectTo, type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

let server: ScriptedServer | undefined;
let connection: ImapConnection | undefined;
let stop: AbortController;

beforeEach(() => {
  stop = new AbortController();
});
afterEach(async () => {
  vi.useRealTimers();
  connection?.destroy(new Error("test is over"));
  await server?.close();
  expect(server?.failures ?? []).toEqual([]);
});

async function connected(script: (peer: Peer) => Promise<void>): Promise<ImapConnection> {
  server = await scriptedServer(script);
  connection = await connectTo(server.port, ["IDLE"]);
  return connection;
}

it("a command ends it, and both leave in one packet", async () => {
  const packets: string[] = [];
  const isIdling = Promise.withResolvers<void>();
  const imap = await connected(async (peer) => {
    const idle = await peer.expect(/^IDLE$/);
    peer.socket.on("data", (chunk) => packets.push(chunk.toString("latin1")));
    peer.send("+ idling\r\n");
    isIdling.resolve();
    expect(await peer.line()).toBe("DONE");
    peer.send(`${idle} OK\r\n`);
    peer.send(`${await peer.expect(/^UID STORE 1 \+FLAGS \(X\)$/)} OK\r\n`);
    await peer.line();
  });
  const idling = keepIdling(imap, stop.signal);
  await isIdling.promise;
  await vi.waitUntil(() => imap.isBusy && !imap.isAsked);
  await imap.run({ parts: ["UID STORE 1 +FLAGS (X)"] });
  expect(packets[0]).toMatch(/^DONE\r\nM\d+ UID STORE 1 \+FLAGS \(X\)\r\n$/);
  stop.abort();
  await idling;
});

it("a command that comes before the server's + waits for that, and nothing for its answer", async () => {
  const isSent = Promise.withResolvers<void>();
  const mayGoOn = Promise.withResolvers<void>();
  const imap = await connected(async (peer) => {
    const idle = await peer.expect(/^IDLE$/);
    isSent.resolve();
    await mayGoOn.promise;
    peer.send("+ idling\r\n");
    expect(await peer.line()).toBe("DONE");
    const noop = await peer.expect(/^NOOP$/);
    peer.send(`${idle} OK\r\n${noop} OK\r\n`);
    await peer.line();
  });
  const idling = keepIdling(imap, stop.signal);
  await isSent.promise;
  const answered = imap.run({ parts: ["NOOP"] });
  mayGoOn.resolve();
  expect((await answered).status).toBe("OK");
  stop.abort();
  await idling;
});

it("commands that follow each other have no IDLE in between", async () => {
  const imap = await connected(async (peer) => {
    for (let times = 0; times < 20; times++) peer.send(`${await peer.expect(/^NOOP$/)} OK\r\n`);
    const idle = await peer.expect(/^IDLE$/);
    peer.send("+ idling\r\n");
    expect(await peer.line()).toBe("DONE");
    peer.send(`${idle} OK\r\n`);
    await peer.line();
  });
  const idling = keepIdling(imap, stop.signal);
  for (let times = 0; times < 20; times++) await imap.run({ parts: ["NOOP"] });
  await vi.waitUntil(() => imap.isBusy && !imap.isAsked);
  stop.abort();
  await idling;
});

it("a quiet hour costs the server a new IDLE every 29 minutes, and nothing else", async () => {
  const lines: string[] = [];
  const imap = await connected(async (peer) => {
    for (;;) {
      const line = await peer.line();
      lines.push(line.replace(/^M\d+ /, ""));
      if (line === "DONE") peer.send(`M${lines.length / 2} OK\r\n`);
      else peer.send("+ idling\r\n");
    }
  });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  const idling = keepIdling(imap, stop.signal);
  const sent = async (count: number): Promise<void> => {
    while (lines.length < count || !(imap.isBusy && !imap.isAsked)) {
      await vi.advanceTimersByTimeAsync(100);
      await new Promise(setImmediate);
    }
  };
  await sent(1);
  await vi.advanceTimersByTimeAsync(28.9 * 60_000);
  await new Promise(setImmediate);
  expect(lines).toEqual(["IDLE"]);
  await vi.advanceTimersByTimeAsync(0.2 * 60_000);
  await sent(3);
  await vi.advanceTimersByTimeAsync(29.1 * 60_000);
  await sent(5);
  expect(lines).toEqual(["IDLE", "DONE", "IDLE", "DONE", "IDLE"]);
  stop.abort();
  await vi.waitUntil(() => lines.length === 6);
  await idling;
});

it("a server that ends it at once is asked for it less and less", async () => {
  const asked: number[] = [];
  const imap = await connected(async (peer) => {
    for (;;) {
      const idle = await peer.expect(/^IDLE$/);
      asked.push(performance.now());
      peer.send(`+ idling\r\n${idle} OK that is all\r\n`);
    }
  });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  const idling = keepIdling(imap, stop.signal);
  while (asked.length < 7) {
    await vi.advanceTimersByTimeAsync(100);
    await new Promise(setImmediate);
  }
  const pauses = asked.slice(1).map((at, index) => Math.floor((at - (asked[index] ?? 0)) / 1_000));
  expect(pauses).toEqual([1, 2, 4, 8, 15, 15]);
  stop.abort();
  await idling;
});
