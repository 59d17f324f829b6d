import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createResponseReader, type LiteralSink, streamedLiteral } from "../../src/legacy/response-reader.ts";

interface Seen {
  readonly responses: { text: string; literals: string[] }[];
  readonly streamed: string[];
}

/** Streams literals of responses that begin with `* 1 FETCH`; `slow` makes every call return a promise. */
async function read(chunks: readonly Buffer[], slow = false): Promise<Seen> {
  const seen: Seen = { responses: [], streamed: [] };
  const wait = (): undefined | Promise<void> => (slow ? Promise.resolve() : undefined);
  const reader = createResponseReader({
    literal(text, _literals, sizeBytes): LiteralSink | undefined {
      if (!text.startsWith("* 1 FETCH")) return undefined;
      const pieces: Buffer[] = [];
      return {
        write(chunk) {
          pieces.push(chunk);
          return wait();
        },
        end() {
          const whole = Buffer.concat(pieces);
          expect(whole.length).toBe(sizeBytes);
          seen.streamed.push(whole.toString("latin1"));
          return wait();
        },
      };
    },
    response(text, literals) {
      seen.responses.push({
        text,
        literals: literals.map((literal) =>
          literal === streamedLiteral ? "<streamed>" : literal.toString("latin1"),
        ),
      });
      return wait();
    },
  });
  for (const chunk of chunks) await reader.push(chunk);
  return seen;
}

const dialogue = [
  "* OK [CAPABILITY IMAP4rev1] ends in {5}",
  '* LIST () "/" {6}\r\nEntw\xfcr',
  "* 1 FETCH (UID 7 BODY[] {12}\r\nA: b\r\n\r\nx\xff\n{ FLAGS (\\Seen))",
  "* 1 FETCH (UID 8 BODY[] {0}\r\n)",
  "* 2 FETCH (BODY[HEADER] {4}\r\n\r\n)\r BODY[TEXT] {3}\r\n}\r\n)",
  "* SEARCH",
  "M1 OK [X {1}] {3}",
  "+ {7}",
].join("\r\n");

const expected: Seen = {
  responses: [
    { text: "* OK [CAPABILITY IMAP4rev1] ends in {5}", literals: [] },
    { text: '* LIST () "/" {6}', literals: ["Entw\xfcr"] },
    { text: "* 1 FETCH (UID 7 BODY[] {12} FLAGS (\\Seen))", literals: ["<streamed>"] },
    { text: "* 1 FETCH (UID 8 BODY[] {0})", literals: ["<streamed>"] },
    { text: "* 2 FETCH (BODY[HEADER] {4} BODY[TEXT] {3})", literals: ["\r\n)\r", "}\r\n"] },
    { text: "* SEARCH", literals: [] },
    { text: "M1 OK [X {1}] {3}", literals: [] },
    { text: "+ {7}", literals: [] },
  ],
  streamed: ["A: b\r\n\r\nx\xff\n{", ""],
};

const bytes = Buffer.from(`${dialogue}\r\n`, "latin1");

function split(sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe("response reader", () => {
  it("reads a dialogue that comes whole", async () => {
    expect(await read([bytes])).toEqual(expected);
  });

  it("reads it byte by byte", async () => {
    expect(await read(split([1]))).toEqual(expected);
  });

  it("reads it in any pieces, and waits for slow sinks", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async (pieces, slow) => {
        expect(await read(split(pieces), slow)).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });

  it("takes a bare LF for a line end and skips empty lines", async () => {
    const { responses } = await read([Buffer.from("* A\n\r\n* B\n")]);
    expect(responses.map(({ text }) => text)).toEqual(["* A", "* B"]);
  });

  it("bounds lines, gathered literals and their sum", () => {
    const over = (text: string): (() => unknown) => {
      const handler = { literal: () => undefined, response: () => undefined };
      const reader = createResponseReader(handler, { maxResponseBytes: 100 });
      return () => reader.push(Buffer.from(text));
    };
    expect(over("x".repeat(101))).toThrow("too long");
    expect(over(`* LIST {101}\r\n`)).toThrow("too long");
    expect(over(`* LIST {60}\r\n${"x".repeat(60)} {60}\r\n`)).toThrow("too long");
    expect(over(`* LIST {60}\r\n${"x".repeat(60)}\r\n* LIST {60}\r\n${"x".repeat(60)}\r\n`)).not.toThrow();
  });

  it("passes bytes on without copying them", async () => {
    const chunk = Buffer.from("* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n");
    let passed: Buffer | undefined;
    const sink: LiteralSink = {
      write: (piece) => {
        passed = piece;
        return undefined;
      },
      end: () => undefined,
    };
    void createResponseReader({ literal: () => sink, response: () => undefined }).push(chunk);
    expect(passed?.buffer).toBe(chunk.buffer);
    expect(passed?.toString()).toBe("hello");
  });

  it("stops for good, even in the middle of a chunk", () => {
    const seen: string[] = [];
    const reader = createResponseReader({
      literal: () => undefined,
      response: (text) => {
        seen.push(text);
        reader.stop();
        return undefined;
      },
    });
    void reader.push(Buffer.from("* A\r\n* B\r\n"));
    void reader.push(Buffer.from("* C\r\n"));
    expect(seen).toEqual(["* A"]);
  });
});
