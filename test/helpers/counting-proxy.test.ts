import { afterEach, describe, expect, test } from "vitest";
import { createCommandSplitter, type SentCommand } from "./command-splitter.ts";
import { startCountingProxy } from "./counting-proxy.ts";
import { startDovecot } from "./dovecot.ts";
import { connectImap } from "./imap-client.ts";

const client = (text: string): [string, string] => ["client", text];
const server = (text: string): [string, string] => ["server", text];

function split(talk: readonly [string, string][], byteByByte: boolean): SentCommand[] {
  const commands: SentCommand[] = [];
  const splitter = createCommandSplitter((command) => commands.push(command));
  for (const [from, text] of talk) {
    const bytes = Buffer.from(text, "latin1");
    const chunks = byteByByte ? [...bytes].map((byte) => Buffer.of(byte)) : [bytes];
    for (const chunk of chunks) {
      if (from === "client") splitter.clientSent(chunk);
      else splitter.serverSent(chunk);
    }
  }
  return commands;
}

describe.each([
  ["whole", false],
  ["byte by byte", true],
])("commands are found, %s", (_, byteByByte) => {
  test.each([
    [
      "several in one packet",
      [client("a noop\r\nb UID STORE 1 +FLAGS (x)\r\n")],
      ["noop", "UID STORE 1 +FLAGS (x)"],
    ],
    [
      "IDLE and DONE",
      [client("a IDLE\r\n"), server("+ idling\r\n"), client("DONE\r\nb NOOP\r\n")],
      ["IDLE", "DONE", "NOOP"],
    ],
    [
      "literals of both kinds, one after the other",
      [
        client("a APPEND {5}\r\n"),
        server("* 1 EXISTS\r\n+ go on\r\n"),
        client("INBOX (\\Seen) {8+}\r\nb NOOP\r\n\r\nc NOOP\r\n"),
      ],
      ["APPEND {5} (\\Seen) {8+}", "NOOP"],
    ],
    [
      "a literal that the server will not have",
      [client("a APPEND INBOX {99}\r\n"), server("a NO Too much\r\n"), client("b NOOP\r\n")],
      ["APPEND INBOX {99}", "NOOP"],
    ],
    [
      "an empty literal",
      [client("a SEARCH TEXT {0+}\r\n SEEN\r\nb NOOP\r\n")],
      ["SEARCH TEXT {0+} SEEN", "NOOP"],
    ],
    ["what is no command", [client("\r\nx\r\n")], ["", "x"]],
  ] as [string, [string, string][], string[]][])("%s", (_name, talk, lines) => {
    expect(split(talk, byteByByte).map(({ line }) => line)).toEqual(lines);
  });

  test("without what proves a login", () => {
    const talk = [
      client('a LOGIN "bo\\"b" "pass word"\r\n'),
      client("b LOGIN {3+}\r\nbob {4+}\r\npass\r\n"),
      client("c LOGIN bob pass\r\n"),
      client("d AUTHENTICATE PLAIN AGJvYgBwYXNz\r\n"),
      server("d OK in\r\n"),
      client("e AUTHENTICATE LOGIN\r\n"),
      server("+ VXNlcm5hbWU6\r\n"),
      client("Ym9i\r\n"),
      server("+ UGFzc3dvcmQ6\r\n"),
      client("cGFzcw==\r\n"),
      server("e OK in\r\n"),
      client("f NOOP\r\n"),
    ];
    expect(split(talk, byteByByte).map(({ line }) => line)).toEqual([
      'LOGIN "bo\\"b" [secret]',
      "LOGIN {3+} [secret]",
      "LOGIN bob [secret]",
      "AUTHENTICATE PLAIN [secret]",
      "AUTHENTICATE LOGIN",
      "NOOP",
    ]);
  });
});

describe("the proxy", () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  test("passes everything and counts by verb, in all and for each connection", async () => {
    const dovecot = await startDovecot({ users: ["bob"], protocols: ["imap"] });
    closing.push(dovecot.close);
    const proxy = await startCountingProxy(dovecot.ports.imap);
    closing.push(proxy.close);
    const one = await connectImap({ port: proxy.port });
    await one.login("bob", "pass-bob");
    await one.ok("select INBOX");
    await one.ok("APPEND INBOX ", Buffer.from("Subject: x\r\n\r\nz NOOP\r\n"));
    await one.ok("UID STORE 1 +FLAGS (\\Flagged)");
    const other = await connectImap({ port: proxy.port });
    await other.login("bob", "pass-bob");
    await other.ok("EXAMINE INBOX");
    await (await other.idle()).done();
    const fetched = await other.ok("UID FETCH 1 (FLAGS BODY.PEEK[])");
    expect(fetched.untagged.join()).toMatch(/\\Flagged.*z NOOP/s);

    expect(proxy.connections).toBe(2);
    expect(proxy.counts(1)).toEqual({ LOGIN: 1, SELECT: 1, APPEND: 1, "UID STORE": 1 });
    expect(proxy.counts(2)).toEqual({ LOGIN: 1, EXAMINE: 1, IDLE: 1, DONE: 1, "UID FETCH": 1 });
    expect(proxy.counts()).toMatchObject({ LOGIN: 2, SELECT: 1, IDLE: 1 });
    expect(proxy.lines(1)).toEqual([
      "LOGIN {3} [secret]",
      "select INBOX",
      "APPEND INBOX {22}",
      "UID STORE 1 +FLAGS (\\Flagged)",
    ]);
    proxy.reset();
    await one.ok("NOOP");
    expect(proxy.commands()).toEqual([{ connection: 1, verb: "NOOP", line: "NOOP" }]);
    one.close();
    other.close();
  });
});
