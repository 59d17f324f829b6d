import { it } from "vitest";
import { changeLocally, changeWhileMirroring } from "./concurrent-sessions.ts";

it("twenty sessions of a local account see the same after ten seconds", () =>
  changeLocally({ durationMs: 10_000 }));

it("twenty sessions see the same after ten seconds while mirroring", () =>
  changeWhileMirroring({ durationMs: 10_000 }));
