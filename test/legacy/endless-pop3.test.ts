/** Old POP3 servers that do not come to the end of an answer, and true answers that are as long. */
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { openPop3, type Pop3Session } from "../../src/legacy/pop3-client.ts";
import { Secret } from "../../src/mail/secret.ts";
import { type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

let server: ScriptedServer;

afterEach(async () => {
  await server?.close();
});

type Say = (peer: Peer) => Promise<void>;

/** By the command's first word; "greeting" is what it says first. */
async function serve(answers: Readonly<Record<string, string | Say>>): Promise<void> {
  const all = {
    greeting: "+OK ready\r\n",
    CAPA: "-ERR what?\r\n",
    USER: "+OK\r\n",
    PASS: "+OK\r\n",
    ...answers,
  };
  const say = async (peer: Peer, name: string): Promise<void> => {
    const answer = new Map<string, string | Say>(Object.entries(all)).get(name) ?? "-ERR what?\r\n";
    if (typeof answer === "string") peer.send(answer);
    else await answer(peer);
  };
  server = await scriptedServer(async (peer) => {
    await say(peer, "greeting");
    for (;;) await say(peer, (await peer.line()).split(" ")[0] ?? "");
  });
}

const open = (commandMs?: number): Promise<Pop3Session> =>
  openPop3(
    {
      host: "127.0.0.1",
      port: server.port,
      tls: "none",
      verify: false,
      timeouts: commandMs === undefined ? {} : { commandMs, connectMs: commandMs },
    },
    { login: "alice", password: new Secret("pass") },
    new AbortController().signal,
  );

/** Until the client has had enough. */
const forEver =
  (head: string, unit: string): Say =>
  async ({ socket, send }) => {
    send(head);
    const bytes = Buffer.from(unit.repeat(Math.ceil(200_000 / unit.length)), "latin1");
    while (!socket.destroyed) {
      if (!socket.writableNeedDrain) socket.write(bytes);
      await nextTurn();
    }
  };

/** Never silent, and never done. */
const bitByBit =
  (head: string): Say =>
  async ({ socket, send }) => {
    send(head);
    while (!socket.destroyed) {
      socket.write("1");
      await delay(20);
    }
  };

type Question = (session: Pop3Session) => Promise<unknown>;
const list: Question = (session) => session.list();
const uidls: Question = (session) => session.uidls();
const retrieve: Question = async (session) => {
  await session.list();
  await session.retrieve(1, () => undefined);
};
const listed = "+OK\r\n1 100\r\n.\r\n";

describe("the session is left, and says so", () => {
  it.each<readonly [string, Readonly<Record<string, Say | string>>, Question]>([
    ["a greeting without end", { greeting: forEver("+OK ", "x") }, list],
    ["capabilities without end", { CAPA: forEver("+OK\r\n", "TOP\r\n") }, list],
    ["a LIST that names the same message again and again", { LIST: forEver("+OK\r\n", "1 100\r\n") }, list],
    ["a LIST that names none", { LIST: forEver("+OK\r\n", "one hundred\r\n") }, list],
    ["a line of UIDL without end", { UIDL: forEver("+OK\r\n1 ", "x") }, uidls],
    [
      "a message that is far longer than it is listed",
      { LIST: listed, RETR: forEver("+OK\r\n", "line\r\n") },
      retrieve,
    ],
    ["a message that has no line end", { LIST: listed, RETR: forEver("+OK\r\n", "x") }, retrieve],
  ])("%s", async (_, answers, question) => {
    await serve(answers);
    const asking = open().then(question);
    await expect(asking).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it.each<readonly [string, Readonly<Record<string, Say | string>>, Question]>([
    ["a greeting", { greeting: bitByBit("+OK ") }, list],
    ["an answer to a login", { USER: bitByBit("+OK ") }, list],
    ["a LIST", { LIST: bitByBit("+OK\r\n") }, list],
    ["a message", { LIST: listed, RETR: bitByBit("+OK\r\n") }, retrieve],
  ])("%s that comes bit by bit, and is never done", async (_, answers, question) => {
    await serve(answers);
    const asking = open(300).then(question);
    await expect(asking).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

it("a true LIST of 100,000 messages, and a message thrice as long as it is listed, are taken whole", async () => {
  const lines = Array.from({ length: 100_000 }, (_, index) => `${index + 1} 100\r\n`).join("");
  await serve({ LIST: `+OK\r\n${lines}.\r\n`, RETR: `+OK\r\n${"x".repeat(298)}\r\n.\r\n` });
  const session = await open();
  expect((await session.list()).size).toBe(100_000);
  let bytes = 0;
  await session.retrieve(1, (piece) => {
    bytes += piece.length;
    return undefined;
  });
  expect(bytes).toBe(300);
  session.close();
});
