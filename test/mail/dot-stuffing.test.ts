import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDotStuffer, createDotUnstuffer } from "../../src/mail/dot-stuffing.ts";

/** Bytes that matter, and others. */
const mail = fc
  .array(fc.constantFrom(".", "\r\n", "\n", "\r", "a", "\r\n.", "\r\n..", "\xff", "\0"), { maxLength: 40 })
  .map((parts) => Buffer.from(parts.join(""), "latin1"));
const cuts = fc.array(fc.nat(100), { maxLength: 20 });

function chunksOf(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((one) => one % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

function stuff(chunks: readonly Buffer[]): Buffer {
  const stuffer = createDotStuffer();
  return Buffer.concat([...chunks.flatMap((chunk) => stuffer.push(chunk)), stuffer.end()]);
}

function unstuff(chunks: readonly Buffer[]): { readonly bytes: Buffer; readonly left: Buffer } {
  const unstuffer = createDotUnstuffer();
  const bytes: Buffer[] = [];
  for (const [index, chunk] of chunks.entries()) {
    const { pieces, end } = unstuffer.push(chunk);
    bytes.push(...pieces);
    if (end !== undefined)
      return {
        bytes: Buffer.concat(bytes),
        left: Buffer.concat([chunk.subarray(end), ...chunks.slice(index + 1)]),
      };
  }
  throw new Error("no end");
}

/** As the stuffer leaves it: the last line is whole. */
function withLineEnd(bytes: Buffer): Buffer {
  const text = bytes.toString("latin1");
  if (text === "" || text.endsWith("\n")) return bytes;
  return Buffer.from(`${text}\r\n`, "latin1");
}

describe("dot-stuffing", () => {
  it.each([
    [".x\r\n.\r\n", ".x\r\n"],
    ["a\r\n.\rb\r\n.\r\n", "a\r\n.\rb\r\n"],
    ["..x\r\n.\r\n", ".x\r\n"],
    ["...\r\n.\r\n", "..\r\n"],
    [".\r\n", ""],
  ])("%j was %j: a dot that no stuffer has put there stays", (wire, text) => {
    const bytewise = [...Buffer.from(wire)].map((byte) => Buffer.of(byte));
    for (const chunks of [[Buffer.from(wire)], bytewise]) expect(unstuff(chunks).bytes.toString()).toBe(text);
  });

  it("there and back gives the same bytes, however they are cut", () => {
    fc.assert(
      fc.property(mail, cuts, cuts, (bytes, there, back) => {
        const wire = stuff(chunksOf(bytes, there));
        expect(wire.equals(stuff([bytes]))).toBe(true);
        const next = Buffer.from("+OK next\r\n");
        const { bytes: received, left } = unstuff(chunksOf(Buffer.concat([wire, next]), back));
        expect(received.toString("latin1")).toBe(withLineEnd(bytes).toString("latin1"));
        expect(left.equals(next)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it("no line of the wire but the last is a dot alone", () => {
    fc.assert(
      fc.property(mail, (bytes) => {
        const lines = stuff([bytes]).toString("latin1").split(/\r?\n/);
        expect(lines.slice(0, -2)).not.toContain(".");
        expect(lines.slice(-2)).toEqual([".", ""]);
      }),
    );
  });

  it.each([
    ["", ".\r\n"],
    [".", "..\r\n.\r\n"],
    ["a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"],
    ["no end", "no end\r\n.\r\n"],
    ["ends in CR\r", "ends in CR\r\r\n.\r\n"],
    ["\r", "\r\r\n.\r\n"],
    [".\r", "..\r\r\n.\r\n"],
  ])("%j is sent as %j", (text, wire) => {
    expect(stuff([Buffer.from(text)]).toString()).toBe(wire);
  });
});
