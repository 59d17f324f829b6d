/** 200,000 lines of noise; the seed is in the title. */
import { expect, it } from "vitest";
import { liveBytes } from "../helpers/heap.ts";
import { fuzzSessions } from "./fuzz-session.ts";

const first = Date.now() % 1_000_000;

it(`POP3 sessions of noise end as they should, and nothing is kept, seeds from ${first}`, async () => {
  await fuzzSessions(first, 20, 100, true);
  const before = liveBytes();
  for (let seed = first + 1; seed <= first + 20; seed++) await fuzzSessions(seed, 100, 100, false);
  expect(liveBytes() - before).toBeLessThan(2 << 20);
});
