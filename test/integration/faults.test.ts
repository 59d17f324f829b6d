import { describe, it } from "vitest";
import { faultCases, workThrough } from "./faults.ts";

describe("loses and doubles nothing, and recovers, when the legacy server", () => {
  it.each(faultCases)("$name", async ({ fault, told }) => {
    await workThrough({ faults: [fault], told, durationMs: 3_000, seed: Date.now() % 1_000_000 });
  });
});
