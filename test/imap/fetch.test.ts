import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/errors.ts";
import { contentOf } from "../../src/mail/message-content.ts";
import { type Served, serveAccount } from "./served-account.ts";

let served: Served;

beforeEach(async () => {
  served = await serveAccount();
});

afterEach(() => served.close());

const away = () => new MailError("UNAVAILABLE", "The mail server behind is not available");

describe("what FETCH asks for", () => {
  it.each([
    ["UID", []],
    ["FLAGS", ["require flags 3"]],
    ["(INTERNALDATE RFC822.SIZE)", ["require meta 3"]],
    ["(FLAGS ENVELOPE)", ["require meta 3", "require header 3"]],
    ["BODY.PEEK[HEADER.FIELDS (To)]", ["require header 3"]],
    ["BODYSTRUCTURE", ["require structure 3"]],
    ["BODY.PEEK[]", ["prefetch 3", "content 1", "content 2", "content 3"]],
    ["(FLAGS BODY.PEEK[1])", ["prefetch 3", "require meta 3", "content 1", "content 2", "content 3"]],
  ])("%s is the least", async (items, calls) => {
    const client = await served.select();
    expect((await client.command(`a UID FETCH 1:* ${items}`)).at(-1)).toBe("a OK Fetch completed.");
    expect(served.inbox.calls).toEqual(calls);
  });

  it("goes through a big mailbox in batches", async () => {
    for (let count = 0; count < 4_500; count++) served.inbox.add({ text: "Subject: x\r\n\r\n" });
    const client = await served.select();
    const lines = await client.command("a FETCH 1:* FLAGS");
    expect(lines).toHaveLength(4_504);
    expect(lines.at(-2)).toBe("* 4503 FETCH (FLAGS ())");
    expect(served.inbox.calls).toEqual(["require flags 2000", "require flags 2000", "require flags 503"]);
  });
});

describe("what is kept of every message", () => {
  it("is answered for many at once as for one with more of it", async () => {
    for (let count = 0; count < 1_200; count++) {
      const flags = [...(count % 2 ? ["\\Seen"] : []), ...(count % 7 ? [] : ["$Label", "\\Draft"])];
      served.inbox.add({ text: "x".repeat(count), flags });
    }
    const recent = served.inbox.deliver({ text: "new", flags: ["\\Flagged"] });
    const client = await served.select();
    const items = "FLAGS UID RFC822.SIZE INTERNALDATE MODSEQ";
    await client.command(`enabling FETCH 1 ${items.split(" ").at(-1)}`);
    const many = await client.command(`a FETCH 1:* (${items})`);
    const more = await client.command(`b FETCH 1:* (${items} BODY.PEEK[HEADER])`);
    const single = more.filter((line) => line.startsWith("* "));
    expect(many).toHaveLength(1_205);
    expect(many.slice(0, -1)).toEqual(single.map((line) => line.replace(/ BODY\[HEADER\] .*/, ")")));
    expect(many.at(-2)).toMatch(`* 1204 FETCH (FLAGS (\\Flagged \\Recent) UID ${recent} RFC822.SIZE 3 `);
  });
});

describe("messages that are not there", () => {
  it("leaves out what was expunged meanwhile", async () => {
    const client = await served.select();
    served.inbox.gate = Promise.resolve().then(() => served.inbox.expunge(2));
    expect(await client.command("a FETCH 1:3 FLAGS")).toEqual([
      "* 1 FETCH (FLAGS (\\Seen))",
      "* 3 FETCH (FLAGS ())",
      "a OK [EXPUNGEISSUED] Some messages were already expunged.",
    ]);
    expect(await client.command("b UID FETCH 1:3 UID")).toEqual([
      "* 1 FETCH (UID 1)",
      "* 3 FETCH (UID 3)",
      "* 2 EXPUNGE",
      "b OK [EXPUNGEISSUED] Some messages were already expunged.",
    ]);
  });

  it("answers what is here and ends the session at what cannot be had", async () => {
    const client = await served.select();
    served.inbox.unavailable = new Set([2]);
    client.send("a FETCH 1:3 FLAGS\r\n");
    expect(await client.until("* BYE")).toEqual([
      "* 1 FETCH (FLAGS (\\Seen))",
      "* BYE The mail server behind is not available",
    ]);
    expect(await client.line()).toBeUndefined();
    expect(served.account.openSessions()).toBe(0);
  });

  it("does so for bodies, too, and never answers NO", async () => {
    const client = await served.select();
    served.inbox.unavailable = new Set([3]);
    client.send("a UID FETCH 1,3 BODY.PEEK[TEXT]\r\n");
    expect((await client.until("* BYE")).at(-1)).toBe("* BYE The mail server behind is not available");
    expect(await client.line()).toBeUndefined();
  });

  it("answers NO to other commands and goes on", async () => {
    const client = await served.logIn();
    served.inbox.unavailable = new Set([-1]);
    expect(await client.command("a SELECT INBOX")).toEqual([
      "a NO [UNAVAILABLE] The mail server behind is not available",
    ]);
    expect(await client.command("b NOOP")).toEqual(["b OK NOOP completed."]);
  });
});

/** A message that arrives when the test says so. */
function growing(bytes: Buffer) {
  let arrived = 0;
  let failure: unknown;
  let wake: (() => void)[] = [];
  let closed = 0;
  const changed = (): void => {
    for (const one of wake) one();
    wake = [];
  };
  return {
    arrive: (upTo: number): void => {
      arrived = upTo;
      changed();
    },
    fail: (error: unknown): void => {
      failure = error;
      changed();
    },
    closed: () => closed,
    content: () => ({
      sizeBytes: bytes.length,
      read: async (start: number, end: number): Promise<Buffer> => {
        while (arrived < end) {
          if (failure) throw failure;
          await new Promise<void>((resolve) => wake.push(resolve));
        }
        return bytes.subarray(start, end);
      },
      close: () => {
        closed++;
      },
    }),
  };
}

const bigText = Buffer.concat([
  Buffer.from(
    "Subject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsmall\r\n--b\r\n\r\n",
  ),
  Buffer.alloc(4 * 1024 * 1024, "0123456789abcdef\r\n"),
  Buffer.from("\r\n--b\r\n\r\nlast\r\n--b--\r\n"),
]);

describe("streaming", () => {
  it("starts before the message is here", async () => {
    const message = growing(bigText);
    served.inbox.add({ text: bigText, content: message.content });
    const client = await served.select();
    client.send("a FETCH 4 BODY.PEEK[]\r\n");
    message.arrive(300_000);
    expect(await client.line()).toBe(`* 4 FETCH (BODY[] {${bigText.length}}`);
    const first = await client.bytes(256 * 1024);
    message.arrive(bigText.length);
    const rest = await client.bytes(bigText.length - first.length);
    expect(Buffer.concat([first, rest]).equals(bigText)).toBe(true);
    expect(await client.until("a ")).toEqual([")", "a OK Fetch completed."]);
    expect(message.closed()).toBe(1);
  });

  it("says nothing that could be taken for mail when the bytes stop coming", async () => {
    const message = growing(bigText);
    served.inbox.add({ text: bigText, content: message.content });
    const client = await served.select();
    client.send("a FETCH 4 BODY.PEEK[]\r\n");
    message.arrive(300_000);
    await client.line();
    const got = await client.bytes(256 * 1024);
    message.fail(away());
    expect(got.equals(bigText.subarray(0, got.length))).toBe(true);
    await expect(client.bytes(1)).rejects.toThrow("ended after 0 of 1");
    expect(message.closed()).toBe(1);
    expect(served.account.openSessions()).toBe(0);
  });

  it("cuts parts out of a big message, scanning it once", async () => {
    let reads = 0;
    const content = contentOf(bigText);
    const read = (start: number, end: number) => {
      reads++;
      return content.read(start, end);
    };
    const counted = { ...content, read };
    served.inbox.add({ text: bigText, content: () => counted });
    const client = await served.select();
    expect(await client.command("a FETCH 4 (BODY.PEEK[1] BODY.PEEK[3])")).toEqual([
      "* 4 FETCH (BODY[1] {5}",
      "small BODY[3] {4}",
      "last)",
      "a OK Fetch completed.",
    ]);
    const scanning = reads;
    expect(scanning).toBeGreaterThan(30);
    client.send("b FETCH 4 BODY.PEEK[2]<1000000.18>\r\n");
    const [label, ...bytes] = await client.until("b ");
    expect(label).toBe("* 4 FETCH (BODY[2]<1000000> {18}");
    expect(bytes.join("\r\n")).toHaveLength(18 + ")\r\nb OK Fetch completed.".length);
    expect(reads - scanning).toBe(1);
  });

  it("does not run ahead of a client that does not read", async () => {
    const size = 64 * 1024 * 1024;
    const piece = Buffer.alloc(256 * 1024, "x");
    let readBytes = 0;
    served.inbox.add({
      text: "",
      content: () => ({
        sizeBytes: size,
        read: (start, end) => {
          readBytes += end - start;
          return piece.subarray(0, end - start);
        },
        close: () => {},
      }),
    });
    const client = await served.select();
    client.socket.pause();
    client.send("a FETCH 4 BODY.PEEK[]\r\n");
    let before = -1;
    await expect
      .poll(
        () => {
          const stands = readBytes === before && readBytes > 0;
          before = readBytes;
          return stands;
        },
        { interval: 100 },
      )
      .toBe(true);
    expect(readBytes).toBeLessThan(16 * 1024 * 1024);
    const hash = createHash("sha1");
    let received = 0;
    client.socket.removeAllListeners("data");
    client.socket.resume();
    client.socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
      hash.update(chunk);
    });
    await expect
      .poll(() => received, { timeout: 20_000 })
      .toBe(size + `* 4 FETCH (BODY[] {${size}}\r\n)\r\n`.length + "a OK Fetch completed.\r\n".length);
    expect(readBytes).toBe(size);
  });

  it("cuts off a client that stops reading for good", async () => {
    await served.close();
    served = await serveAccount({ stallTimeoutMs: 100 });
    served.inbox.add({ text: Buffer.alloc(32 * 1024 * 1024, "x") });
    const client = await served.select();
    client.socket.pause();
    client.send("a FETCH 4 BODY.PEEK[]\r\n");
    await expect.poll(() => served.account.openSessions()).toBe(0);
  });
});
