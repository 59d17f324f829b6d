/** A million inputs of noise to the command parser; the seed is in the title. */
import { expect, it } from "vitest";
import { liveBytes } from "../helpers/heap.ts";
import { fuzzParser } from "./fuzz-parser.ts";

const first = Date.now() % 1_000_000;

it(`the command parser fails on noise as it says, and keeps nothing, seeds from ${first}`, () => {
  fuzzParser(first, 20_000);
  const before = liveBytes();
  for (let seed = first + 1; seed <= first + 20; seed++) fuzzParser(seed, 50_000);
  expect(liveBytes() - before).toBeLessThan(2 << 20);
});
