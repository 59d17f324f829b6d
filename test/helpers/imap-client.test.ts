import { createServer, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { startDovecot } from "./dovecot.ts";
import { connectImap, type ImapClient } from "./imap-client.ts";
import { canonicalText, fetchItems, parseValues } from "./imap-values.ts";
import { createResponseSplitter } from "./response-splitter.ts";
import { testCertificate } from "./tls.ts";

const answer = Buffer.from(
  '* 1 FETCH (UID 7 BODY[] {5}\r\na\r\n\0\xff X "q\\"" ENVELOPE (NIL {2}\r\n()))\r\n* OK {no} literal\r\nt1 OK {2}\r\n\r\n end\r\n',
  "latin1",
);

describe("responses", () => {
  test.each(["whole", "byte by byte"])("are cut at line ends outside of literals, %s", (how) => {
    const seen: string[] = [];
    const splitter = createResponseSplitter((response) => seen.push(response.toString("latin1")));
    if (how === "whole") splitter.push(answer);
    else for (const byte of answer) splitter.push(Buffer.of(byte));
    expect(seen).toHaveLength(3);
    expect(`${seen.join("\r\n")}\r\n`).toBe(answer.toString("latin1"));
  });

  test("however they are chunked, the same", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(answer.length)), (cuts) => {
        const seen: Buffer[] = [];
        const splitter = createResponseSplitter((response) => seen.push(response));
        const bounds = [0, ...cuts.sort((a, b) => a - b), answer.length];
        for (let i = 1; i < bounds.length; i++) splitter.push(answer.subarray(bounds[i - 1], bounds[i]));
        expect(seen).toHaveLength(3);
      }),
    );
  });

  test("values are the same quoted or as literals", () => {
    const literal = parseValues(Buffer.from('({2}\r\na"  (b NIL) \\Seen)'));
    const quoted = parseValues(Buffer.from('("a\\"" (b NIL) \\Seen)'));
    expect(literal.map(canonicalText)).toEqual(quoted.map(canonicalText));
    const items = fetchItems(answer.subarray(0, answer.indexOf("\r\n* OK")));
    expect([...(items?.keys() ?? [])]).toEqual(["UID", "BODY[]", "X", "ENVELOPE"]);
  });
});

describe("the client", () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  async function pair(script: (socket: Socket) => void): Promise<ImapClient> {
    const server = createServer(script);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => server.close());
    const client = await connectImap({ port: (server.address() as { port: number }).port, timeoutMs: 2000 });
    closing.push(() => client.close());
    return client;
  }

  test("rejects when the server goes away or says nothing", async () => {
    const gone = await pair((socket) => {
      socket.write("* OK hi\r\n");
      socket.once("data", () => socket.destroy());
    });
    await expect(gone.command("NOOP")).rejects.toThrow();
    await gone.closed;
    const silent = await pair((socket) => void socket.write("* OK hi\r\n"));
    await expect(silent.next(20)).rejects.toThrow(/no response/);
  });

  test("speaks TLS, sends literals and idles with a real server", async () => {
    const dovecot = await startDovecot({ users: ["bob"], tls: true, passwordOf: () => 'p:"\\ü' });
    closing.push(() => void dovecot.close());
    const ca = testCertificate().ca;
    const { readFile } = await import("node:fs/promises");
    const client = await connectImap({ port: dovecot.ports.imaps, ca: await readFile(ca) });
    await expect(client.login("bob", "wrong")).rejects.toThrow(/NO/);
    await client.login("bob", 'p:"\\ü');
    await client.ok("SELECT INBOX");
    const idle = await client.idle();
    const other = await dovecot.client("bob");
    await other.ok("APPEND INBOX ", Buffer.from("Subject: x\r\n\r\nx\r\n"));
    expect((await idle.until(/EXISTS/)).toString()).toBe("* 1 EXISTS");
    expect((await idle.done()).status).toBe("OK");
    expect((await client.command("NONSENSE")).status).toBe("BAD");
    client.close();
    other.close();
    expect(await dovecot.errors()).toEqual([]);
    await dovecot.close();
  });
});
