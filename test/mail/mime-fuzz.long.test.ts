/** 200,000 messages of noise to the MIME scanner, whole and in pieces; the seed is in the title. */
import { isDeepStrictEqual } from "node:util";
import { expect, it } from "vitest";
import { formatBodyStructure } from "../../src/mail/body-structure.ts";
import type { MimePart } from "../../src/mail/mime-part.ts";
import { createMimeScanner, scanMessage } from "../../src/mail/mime-scanner.ts";
import { liveBytes } from "../helpers/heap.ts";
import { noisyMessage } from "../helpers/mime-noise.ts";
import { createRandom, type Random } from "../helpers/random.ts";

/** Far above what any of these takes, and above the pauses of a busy machine. */
const maxMs = 250;

it.each([Date.now() % 1_000_000])("the MIME scanner takes any bytes in any pieces, seed %i", (seed) => {
  const random = createRandom(seed);
  fuzz(random, 5_000);
  const before = liveBytes();
  fuzz(random, 195_000);
  expect(liveBytes() - before).toBeLessThan(2 << 20);
});

function fuzz(random: Random, count: number): void {
  for (let index = 0; index < count; index++) {
    const message = random.chance(0.1) ? byteNoise(random) : broken(noisyMessage(random), random);
    const started = performance.now();
    const tree = scanMessage(message);
    formatBodyStructure(tree);
    const tookMs = performance.now() - started;
    const isSame = isDeepStrictEqual(scanInPieces(message, random), tree);
    if (!isSame || tree.body.end !== message.length || (tookMs > maxMs && timeOf(message) > maxMs))
      throw new Error(`input ${index}, ${tookMs} ms: ${JSON.stringify(message.toString("latin1"))}`);
  }
}

function broken(message: Buffer, random: Random): Buffer {
  const copy = Buffer.from(message);
  for (let changes = random.below(6); changes > 0 && copy.length > 0; changes--) {
    const at = random.below(copy.length);
    if (random.chance(0.5)) copy[at] = random.pick([0, 0x0a, 0x0d, 0x2d, 0x22, 0x3a, random.below(256)]);
    else copy.copy(copy, at, random.below(copy.length), copy.length);
  }
  return copy.subarray(0, random.chance(0.2) ? random.below(copy.length + 1) : copy.length);
}

function byteNoise(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.below(400) }, () => random.below(256)));
}

function scanInPieces(message: Buffer, random: Random): MimePart {
  const scanner = createMimeScanner();
  const most = random.pick([1, 3, 20, 200]);
  for (let at = 0; at < message.length; ) {
    const size = 1 + random.below(most);
    scanner.push(Buffer.from(message.subarray(at, at + size)));
    at += size;
  }
  return scanner.finish();
}

function timeOf(message: Buffer): number {
  const started = performance.now();
  scanMessage(message);
  return performance.now() - started;
}
