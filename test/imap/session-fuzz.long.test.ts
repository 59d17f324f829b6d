/** A thousand sessions of noise; the seeds are in the titles. */
import { it } from "vitest";
import { createRandom } from "../helpers/random.ts";
import { fuzzCuts, fuzzSession } from "./fuzz-session.ts";

const first = Date.now() % 1_000_000;
const seeds = Array.from({ length: 10 }, (_, index) => first + index);

it.each(seeds)("a hundred sessions of noise, seed %i", async (seed) => {
  const random = createRandom(seed);
  for (let count = 0; count < 80; count++) await fuzzSession(random, 60);
  for (let count = 0; count < 20; count++) await fuzzCuts(random, 20);
});
