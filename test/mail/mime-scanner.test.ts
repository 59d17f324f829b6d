import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatBody, formatBodyStructure } from "../../src/mail/body-structure.ts";
import type { MimePart } from "../../src/mail/mime-part.ts";
import { createMimeScanner, scanMessage } from "../../src/mail/mime-scanner.ts";
import { countWork } from "../helpers/buffer-work.ts";
import { hostileMails, oversizedMails } from "../helpers/hostile-mail.ts";
import { noisyMessage } from "../helpers/mime-noise.ts";
import { oddMails } from "../helpers/odd-mail.ts";
import { createRandom } from "../helpers/random.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const bodyOf = (text: string): string => formatBody(scanMessage(bytes(text))).toString("latin1");
const multipart = (boundary: string): string =>
  `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n`;

function childrenOf(part: MimePart): readonly MimePart[] {
  return part.kind === "multipart" ? part.parts : part.kind === "message" ? [part.message] : [];
}

function countParts(part: MimePart): number {
  return childrenOf(part).reduce((count, child) => count + countParts(child), 1);
}

function depthOf(part: MimePart): number {
  return 1 + Math.max(0, ...childrenOf(part).map(depthOf));
}

function scanInChunks(message: Buffer, sizes: Iterable<number>): MimePart {
  const scanner = createMimeScanner();
  let at = 0;
  for (const size of sizes) {
    // A copy that is overwritten afterwards: chunks must not be kept.
    const chunk = Buffer.from(message.subarray(at, at + size));
    scanner.push(chunk);
    chunk.fill(0x2d);
    at += size;
  }
  scanner.push(message.subarray(at));
  return scanner.finish();
}

describe("sizes", () => {
  test("a bare LF counts as CRLF, offsets are of the bytes", () => {
    const part = scanMessage(bytes("Subject: x\n\none\ntwo\r\nthree"));
    expect(part.header).toEqual({ start: 0, end: 12, virtualSizeBytes: 14, lineCount: 2 });
    expect(part.body).toEqual({ start: 12, end: 26, virtualSizeBytes: 15, lineCount: 2 });
  });

  test("the line end before a boundary belongs to it", () => {
    const message = bytes(`${multipart("b")}--b\r\n\r\none\r\n--b\n\ntwo\n--b--\r\n`);
    const texts = childrenOf(scanMessage(message)).map(({ body }) =>
      message.toString("latin1", body.start, body.end),
    );
    expect(texts).toEqual(["one", "two"]);
  });
});

describe("boundaries", () => {
  test.each([
    ["a line that only begins with the boundary", `${multipart("b")}--bcd\r\n\r\nx\r\n--b--\r\n`, 1],
    [
      "the longest of two prefixes",
      `${multipart("b")}--b\r\n${multipart("bb")}--bb\r\n\r\nx\r\n--bb--\r\n--b\r\n\r\n`,
      2,
    ],
    ["a boundary that ends in dashes", `${multipart("b--")}--b--\r\n\r\nx\r\n--b----\r\n`, 1],
    ["one that is cut at 80 bytes", `${multipart("x".repeat(90))}--${"x".repeat(80)}\r\n\r\nx\r\n`, 1],
    ["without a line end it begins no part", `${multipart("b")}--b\r\n\r\nx\r\n--b`, 1],
    ["none is found behind the last", `${multipart("b")}--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n`, 1],
    ["none without a blank line", `Content-Type: multipart/mixed; boundary=b\r\n--b\r\n\r\nx\r\n`, 0],
  ])("%s", (_title, message, count) => {
    expect(childrenOf(scanMessage(bytes(message))).length).toBe(count);
  });

  test("an outer boundary ends what is open within", () => {
    const message = `${multipart("o")}--o\r\n${multipart("i")}--i\r\n\r\nx\r\n--o\r\n\r\ny\r\n--o--\r\n`;
    const [first, second] = childrenOf(scanMessage(bytes(message)));
    expect([first?.kind, second?.kind]).toEqual(["multipart", "leaf"]);
  });
});

describe("types", () => {
  const plain = '"text" "plain" ("charset" "us-ascii") NIL NIL "7bit"';

  test.each([
    ["no Content-Type", "Content-ID: x\r\n\r\ny\r\n", `(${plain} 3 1)`],
    ["a type that is none", "Content-Type: foo bar\r\n\r\ny", '("" "" NIL NIL NIL "7bit" 1)'],
    ["half a type", "Content-Type: text\r\n\r\ny", '("text" "" ("charset" "us-ascii") NIL NIL "7bit" 1 0)'],
    ["a multipart of nothing", "Content-Type: multipart/x\r\n\r\ny", `((${plain} 0 0) "x")`],
    [
      "half a multipart",
      "Content-Type: multipart\r\n\r\ny",
      '("application" "octet-stream" NIL NIL NIL "7bit" 1)',
    ],
    [
      "the first of two",
      "Content-Type: text/html\r\nContent-Type: a/b\r\n\r\n",
      '("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 0 0)',
    ],
    ["message/global", "Content-Type: message/global\r\n\r\ny", '("message" "global" NIL NIL NIL "7bit" 1)'],
    [
      "a digest's default",
      "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: s\r\n\r\nx\r\n--b--\r\n",
      `(("message" "rfc822" NIL NIL NIL "7bit" 15 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) (${plain} 1 0) 2) "digest")`,
    ],
  ])("%s", (_title, message, body) => {
    expect(bodyOf(message)).toBe(body);
  });

  test("all fields of BODYSTRUCTURE, parameters as RFC 2231 encodes them", () => {
    const message =
      "Content-Type: application/x; name*1=b; name*0*=u''a%20; x=\"y z\"\r\nContent-ID: <i>\r\n" +
      "Content-Description: some\r\n thing\r\nContent-MD5: m\r\nContent-Language: de, en\r\nContent-Location: l\r\n" +
      "Content-Disposition: inline; filename=f\r\nContent-Transfer-Encoding: base64 (x)\r\n\r\nxx\r\n";
    expect(formatBodyStructure(scanMessage(bytes(message))).toString("latin1")).toBe(
      '("application" "x" ("x" "y z" "name*" "u\'\'a%20b") "<i>" "some thing" "base64" 4 "m" ' +
        '("inline" ("filename" "f")) ("de" "en") "l")',
    );
  });
});

describe("limits, which are Dovecot's", () => {
  test("100 levels, whether of multiparts or of messages", () => {
    const name = (level: number): string => `-${String(level).padStart(3, "0")}`;
    const levels = Array.from({ length: 150 }, (_, level) => `${multipart(name(level))}--${name(level)}\r\n`);
    const deep = scanMessage(bytes(`${levels.join("")}\r\nx`));
    expect(depthOf(deep)).toBe(100);
    expect(formatBody(deep).includes('"application" "octet-stream" ("boundary" "-099")')).toBe(true);
    expect(depthOf(scanMessage(bytes(`${"Content-Type: message/rfc822\r\n\r\n".repeat(150)}x`)))).toBe(100);
  });

  test("10,000 parts, the rest is the last one's", () => {
    const tree = scanMessage(bytes(multipart("b") + "--b\r\n\r\nx\r\n".repeat(10_050)));
    expect(countParts(tree)).toBe(10_000);
    const last = childrenOf(tree).at(-1);
    expect(last?.body.lineCount).toBe(154);
  });

  test("10 MB of one header", () => {
    const filler = `X-Filler: ${"x".repeat(990)}\r\n`.repeat(11_000);
    const seen = scanMessage(bytes(`Content-Type: text/html\r\n${filler}\r\nbody`));
    const unseen = scanMessage(bytes(`${filler}Content-Type: text/html\r\n\r\nbody`));
    expect([seen.content.subtype, unseen.content.subtype]).toEqual(["html", ""]);
    expect(unseen.body.end - unseen.body.start).toBe(4);
  });
});

describe("mail that is made to break software", () => {
  const messages = [...hostileMails(), ...oversizedMails()];

  test.each(messages.map(({ name, bytes: message }) => [name, message] as const))("%s", (_name, message) => {
    const started = performance.now();
    const tree = scanInChunks(message, new Array(Math.ceil(message.length / 65_536)).fill(65_536));
    const structure = formatBodyStructure(tree);
    expect(structure.length).toBeLessThan(48 << 20);
    checkNesting(tree, 0, message.length);
    // Some 30 MB each; a second is ten times what they take.
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("what a tree has no room for is as if it were not there", () => {
    const [messages, params] = oversizedMails().map(({ bytes: message }) => scanMessage(message));
    const first = messages && childrenOf(messages)[0];
    const last = messages && childrenOf(messages).at(-1);
    const envelopeOf = (part: MimePart | undefined) => part?.kind === "message" && part.envelope.length;
    expect(envelopeOf(first)).toBeGreaterThan(1 << 20);
    expect(envelopeOf(last)).toBe("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)".length);
    expect(params?.content.params).toHaveLength(128);
  });
});

describe("whatever the bytes", () => {
  const random = createRandom(20260302);
  const messages = [
    ...Array.from({ length: 300 }, () => noisyMessage(random)),
    ...oddMails(3).map(({ bytes: message }) => message),
    ...hostileMails().map(({ bytes: message }) => message),
  ];

  test("cut anywhere, the tree is the same", () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 300 })), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(fc.constantFrom(...messages), sizes, (message, cuts) => {
        expect(scanInChunks(message, cuts)).toEqual(scanMessage(message));
      }),
      { numRuns: 500 },
    );
  });

  test("byte by byte, the tree is the same", () => {
    for (const message of messages.filter(({ length }) => length < 3000)) {
      expect(scanInChunks(message, new Array(message.length).fill(1))).toEqual(scanMessage(message));
    }
  });

  test("it has a tree, and parts nest", () => {
    const mutated = fc.tuple(
      fc.constantFrom(...messages),
      fc.uint8Array({ maxLength: 20 }),
      fc.nat(),
      fc.nat(),
    );
    fc.assert(
      fc.property(mutated, ([message, noise, from, to]) => {
        const head = message.subarray(0, from % (message.length + 1));
        const broken = Buffer.concat([head, noise, message.subarray(to % (message.length + 1))]);
        const tree = scanMessage(broken);
        expect(tree.body.end).toBe(broken.length);
        checkNesting(tree, 0, broken.length);
        expect(formatBodyStructure(tree).length).toBeGreaterThan(0);
      }),
      { numRuns: 1000 },
    );
  });
});

function checkNesting(part: MimePart, from: number, to: number): void {
  const { header, body } = part;
  expect(header.start).toBeGreaterThanOrEqual(from);
  expect(header.end).toBeGreaterThanOrEqual(header.start);
  expect(body.start).toBe(header.end);
  expect(body.end).toBeGreaterThanOrEqual(body.start);
  expect(body.end).toBeLessThanOrEqual(to);
  expect(body.virtualSizeBytes).toBeGreaterThanOrEqual(body.end - body.start);
  let behind = body.start;
  for (const child of childrenOf(part)) {
    checkNesting(child, behind, body.end);
    behind = child.body.end;
  }
}

describe("work is linear in the size", () => {
  const nested = Array.from({ length: 99 }, (_, level) => `${multipart(`b${level}`)}--b${level}\r\n`).join(
    "",
  );
  test.each<readonly [string, (size: number) => string]>([
    ["one long line", (size) => multipart("b") + "x".repeat(size)],
    ["line ends only", (size) => multipart("b") + "\n".repeat(size)],
    ["boundaries only", (size) => multipart("b") + "--b\n".repeat(size / 4)],
    ["parts", (size) => multipart("b") + "--b\n\n".repeat(size / 5)],
    ["near boundaries in deep nesting", (size) => `${nested}\r\n${"--x\n".repeat(size / 4)}`],
    ["long near boundaries", (size) => multipart("b") + `--${"x".repeat(300)}\n`.repeat(size / 300)],
    ["deep messages", (size) => "Content-Type: message/rfc822\n\n".repeat(size / 30)],
    ["fields", (size) => "a:\n".repeat(size / 3)],
    ["folds", (size) => `Content-Type: text/plain\n${" x\n".repeat(size / 3)}`],
    ["parameters", (size) => `Content-Type: text/plain${";a=b".repeat(size / 4)}\n`],
    ["numbered parameters", (size) => `Content-Type: text/plain${";a*0=b".repeat(size / 6)}\n`],
    ["unclosed comments", (size) => `Content-Type: text/plain;${"(".repeat(size)}\n`],
    ["white space before a colon", (size) => `a${" ".repeat(size)}b:\n`],
  ])("%s", (_title, make) => {
    const small = bytes(make(60_000));
    const large = bytes(make(240_000));
    const smallWork = countWork(() => scanInChunks(small, chunksOf(small)));
    const largeWork = countWork(() => scanInChunks(large, chunksOf(large)));
    expect(largeWork / large.length).toBeLessThan((smallWork / small.length) * 1.5 + 1);
    expect(largeWork / large.length).toBeLessThan(60);
  });

  function chunksOf(message: Buffer): number[] {
    return new Array(Math.ceil(message.length / 4096)).fill(4096);
  }
});
