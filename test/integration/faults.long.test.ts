import { describe, it } from "vitest";
import { faultCases, workThrough } from "./faults.ts";

describe("loses and doubles nothing, and recovers, when the legacy server", () => {
  it.each(faultCases)("$name, for 20 seconds", async ({ fault, told }) => {
    await workThrough({ faults: [fault], told, durationMs: 20_000, seed: Date.now() % 1_000_000 });
  });

  it("does all of it, for two minutes", async () => {
    const faults = faultCases.map(({ fault }) =>
      fault.kind === "answer"
        ? { ...fault, oneIn: 40 }
        : "maxBytes" in fault
          ? { ...fault, maxBytes: 60_000 }
          : fault,
    );
    await workThrough({ faults, durationMs: 120_000, seed: Date.now() % 1_000_000 });
  });
});
