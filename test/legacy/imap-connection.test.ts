import { afterEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/errors.ts";
import { nameArgument } from "../../src/legacy/command-text.ts";
import { keepIdling } from "../../src/legacy/idle.ts";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import type { Untagged } from "../../src/legacy/untagged.ts";
import { connectTo, type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

let server: ScriptedServer | undefined;
let connection: ImapConnection | undefined;

afterEach(async () => {
  connection?.destroy(new Error("test is over"));
  await server?.close();
  expect(server?.failures ?? []).toEqual([]);
  server = undefined;
  connection = undefined;
});

async function connected(
  script: (peer: Peer) => Promise<void>,
  capabilities: readonly string[] = [],
  commandTimeoutMs?: number,
): Promise<ImapConnection> {
  server = await scriptedServer(script);
  connection = await connectTo(server.port, capabilities, commandTimeoutMs);
  return connection;
}

function countSeen(seen: number[]): (untagged: Untagged) => boolean {
  return (untagged) => {
    if (untagged.kind === "count") seen.push(untagged.value);
    return untagged.kind === "count";
  };
}

const unavailable = (text: RegExp): object =>
  expect.objectContaining({ code: "UNAVAILABLE", message: expect.stringMatching(text) });

describe("commands", () => {
  it("are sent without waiting, answered by tag, and get their data in order", async () => {
    const imap = await connected(async (peer) => {
      const tags = [await peer.expect(/^A$/), await peer.expect(/^B$/), await peer.expect(/^C$/)];
      await peer.sendInPieces(
        `* 1 EXISTS\r\n${tags[1]} NO [LIMIT] b\r\n* 2 EXISTS\r\n${tags[0]} OK a\r\n`,
        1,
      );
      peer.send(`* 3 EXISTS\r\n${tags[2]} BAD\r\n`);
      await peer.line();
    });
    const seen: number[][] = [[], [], []];
    const results = await Promise.all(
      ["A", "B", "C"].map((text, index) =>
        imap.run({ parts: [text], onUntagged: countSeen(seen[index] ?? []) }),
      ),
    );
    expect(results.map(({ status, code, text }) => [status, code, text])).toEqual([
      ["OK", undefined, "a"],
      ["NO", "LIMIT", "b"],
      ["BAD", undefined, ""],
    ]);
    expect(seen).toEqual([[1, 2], [], [3]]);
  });

  it("wait for the server's word before a literal, and later commands behind them", async () => {
    const imap = await connected(async (peer) => {
      const first = await peer.expect(/^X \{4\}$/);
      peer.send("* 1 EXISTS\r\n+ go\r\n");
      expect(await peer.bytes(4)).toBe("\xe9\r\n\xff");
      expect(await peer.line()).toBe(" y");
      const second = await peer.expect(/^LATER$/);
      peer.send(`${first} OK\r\n${second} OK\r\n`);
      await peer.line();
    });
    const literal = Buffer.from("\xe9\r\n\xff", "latin1");
    const both = [imap.run({ parts: ["X ", { literal }, " y"] }), imap.run({ parts: ["LATER"] })];
    expect((await Promise.all(both)).map(({ status }) => status)).toEqual(["OK", "OK"]);
  });

  it("are given up when their literal is refused", async () => {
    const imap = await connected(async (peer) => {
      peer.send(`${await peer.expect(/^X \{2\}$/)} NO too long\r\n`);
      peer.send(`${await peer.expect(/^LATER$/)} OK\r\n`);
      await peer.line();
    });
    const refused = imap.run({ parts: ["X ", { literal: Buffer.from("ab") }] });
    const later = imap.run({ parts: ["LATER"] });
    expect((await refused).status).toBe("NO");
    expect((await later).status).toBe("OK");
  });

  it.each([
    ["LITERAL+", 5000, true],
    ["LITERAL-", 4096, true],
    ["LITERAL-", 4097, false],
  ])("send literals at once with %s and %i bytes: %s", async (capability, size, atOnce) => {
    const imap = await connected(
      async (peer) => {
        const tag = await peer.expect(new RegExp(`^X \\{${size}${atOnce ? "\\+" : ""}\\}$`));
        if (!atOnce) peer.send("+\r\n");
        await peer.bytes(size);
        expect(await peer.line()).toBe("");
        peer.send(`${tag} OK\r\n`);
        await peer.line();
      },
      [capability],
    );
    expect((await imap.run({ parts: ["X ", { literal: Buffer.alloc(size, 97) }] })).status).toBe("OK");
  });
});

describe("mailbox names", () => {
  it("are never sent bare", () => {
    expect(nameArgument("")).toBe('""');
    expect(nameArgument('a "b" \\c {3}')).toBe('"a \\"b\\" \\\\c {3}"');
    expect(nameArgument("a\r\nM9 DELETE x")).toEqual({ literal: Buffer.from("a\r\nM9 DELETE x") });
    expect(nameArgument("Entw\xfcrfe")).toEqual({ literal: Buffer.from("Entw\xfcrfe", "latin1") });
    expect(() => nameArgument("a\0b")).toThrow(MailError);
  });
});

describe("a connection that ends", () => {
  it("by BYE rejects all commands with the server's text", async () => {
    const imap = await connected(async (peer) => {
      await peer.expect(/^A$/);
      peer.send("* BYE [UNAVAILABLE] going down\r\n");
      await peer.line();
    });
    const results = await Promise.allSettled([imap.run({ parts: ["A"] }), imap.run({ parts: ["B"] })]);
    for (const result of results) expect(result).toMatchObject({ reason: unavailable(/going down/) });
    await expect(imap.run({ parts: ["C"] })).rejects.toEqual(unavailable(/closed/));
    expect(imap.isClosed).toBe(true);
  });

  it("by closing, in the middle of a literal", async () => {
    const imap = await connected(async (peer) => {
      await peer.expect(/^A$/);
      peer.send("* LIST () NIL {10}\r\nabc");
    });
    await expect(imap.run({ parts: ["A"] })).rejects.toEqual(unavailable(/closed the connection/));
  });

  it("by silence while a command is in flight, but not while idle or paused", async () => {
    const imap = await connected(
      async (peer) => {
        peer.send(`* 1 EXISTS\r\n${await peer.expect(/^A$/)} OK\r\n`);
        await peer.expect(/^B$/);
        await peer.line();
      },
      [],
      40,
    );
    const onUntagged = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 120));
    expect((await imap.run({ parts: ["A"], onUntagged })).status).toBe("OK");
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(imap.isClosed).toBe(false);
    await expect(imap.run({ parts: ["B"] })).rejects.toEqual(unavailable(/did not answer/));
  });

  it("by silence after the DONE of an IDLE", async () => {
    const stop = new AbortController();
    const imap = await connected(
      async (peer) => {
        await peer.expect(/^IDLE$/);
        peer.send("+ idling\r\n");
        setTimeout(() => stop.abort(), 80);
        expect(await peer.line()).toBe("DONE");
        await peer.line();
      },
      ["IDLE"],
      40,
    );
    await expect(keepIdling(imap, stop.signal)).rejects.toEqual(unavailable(/did not answer/));
  });

  it("by nonsense", async () => {
    const imap = await connected(async (peer) => {
      await peer.expect(/^A$/);
      peer.send("* 1 EXISTS\r\nHTTP/1.1 200 OK\r\n");
      await peer.line();
    });
    await expect(imap.run({ parts: ["A"] })).rejects.toEqual(unavailable(/broke the protocol/));
  });

  it("by an answer to a command that was not sent", async () => {
    const imap = await connected(async (peer) => {
      await peer.expect(/^A$/);
      peer.send("M77 OK done\r\n");
      await peer.line();
    });
    await expect(imap.run({ parts: ["A"] })).rejects.toEqual(unavailable(/broke the protocol/));
  });

  it("by a handler that throws, with its error", async () => {
    const imap = await connected(async (peer) => {
      await peer.expect(/^A$/);
      peer.send("* 1 EXISTS\r\n");
      await peer.line();
    });
    const fault = new Error("mine");
    const onUntagged = (): boolean => {
      throw fault;
    };
    await expect(imap.run({ parts: ["A"], onUntagged })).rejects.toBe(fault);
    expect(await imap.closed).toBe(fault);
  });

  it("by LOGOUT, even if the server does not answer it", async () => {
    const imap = await connected(async (peer) => {
      const tag = await peer.expect(/^LOGOUT$/);
      peer.send(`* BYE see you\r\n${tag} OK\r\n`);
      await peer.line();
    });
    await imap.logout();
    expect(imap.isClosed).toBe(true);
  });
});

it("forgives the rest of a line whose beginning went to the reader before it", async () => {
  const imap = await connected(async (peer) => {
    peer.send("ill here\r\n");
    peer.send(`${await peer.expect(/^A$/)} OK\r\n`);
    await peer.line();
  });
  expect((await imap.run({ parts: ["A"] })).status).toBe("OK");
});

it("holds the server back while a sink is busy", async () => {
  let isDrained = false;
  const size = 64 << 20;
  const imap = await connected(async (peer) => {
    const tag = await peer.expect(/^A$/);
    peer.send(`* 1 FETCH (UID 1 BODY[] {${size}}\r\n`);
    peer.socket.once("drain", () => {
      isDrained = true;
    });
    peer.socket.write(Buffer.alloc(size));
    peer.send(`)\r\n${tag} OK\r\n`);
    await peer.line();
  });
  const { promise: firstWrite, resolve: onFirstWrite } = Promise.withResolvers<() => void>();
  let writes = 0;
  let received = 0;
  const done = imap.run({
    parts: ["A"],
    onUntagged: () => true,
    onContent: () => ({
      write(chunk) {
        received += chunk.length;
        if (++writes > 1) return undefined;
        return new Promise((resolve) => onFirstWrite(resolve));
      },
      end: () => undefined,
    }),
  });
  const release = await firstWrite;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(writes).toBe(1);
  expect(isDrained).toBe(false);
  release();
  expect((await done).status).toBe("OK");
  expect(received).toBe(size);
});
