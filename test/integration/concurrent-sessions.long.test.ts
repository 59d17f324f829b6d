import { it } from "vitest";
import { changeLocally, changeWhileMirroring } from "./concurrent-sessions.ts";

it("twenty sessions of a local account see the same after a minute", () =>
  changeLocally({ durationMs: 60_000 }));

it("twenty sessions see the same after a minute while mirroring", () =>
  changeWhileMirroring({ durationMs: 60_000 }));
