/** Noise to whole sessions: every command is answered, nothing is a fault of ours, and packets do not matter. */
import { it } from "vitest";
import { createRandom } from "../helpers/random.ts";
import { fuzzCuts, fuzzSession } from "./fuzz-session.ts";

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => 7_301 + index);

it.each(seeds(25))("a session of noise is answered without a fault of ours, seed %i", async (seed) => {
  await fuzzSession(createRandom(seed), 40);
});

it.each(seeds(15))("a session of noise is answered alike however it is cut, seed %i", async (seed) => {
  await fuzzCuts(createRandom(seed), 15);
});
