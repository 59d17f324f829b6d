import { it } from "vitest";
import { fuzzSessions } from "./fuzz-session.ts";

const first = Date.now() % 1_000_000;

it.each([first, first + 1, first + 2])("sessions of noise, seed %i", async (seed) => {
  await fuzzSessions(seed, 20, 100, false);
  await fuzzSessions(seed, 3, 20, true);
});
