import { it } from "vitest";
import { changeLocally, changeWhileMirroring } from "./concurrent-sessions.ts";

it("twenty sessions of a local account see the same after a minute", () =>
  changeLocally({ durationMs: 60_000 }));

it("twenty sessions see the same after a minute while mirroring", () =>
  changeWhileMirroring({ durationMs: 60_000 }));

it("sessions see the same after a minute in which ten times as much is changed at the legacy server itself", () =>
  changeWhileMirroring({ durationMs: 60_000, straightCount: 20 }));
