import { it } from "vitest";
import { killWhileLocal, killWhileMirroring } from "./kill-points.ts";

it("ten kills at steps of a mirrored account", () => killWhileMirroring({ kills: 10 }));

it("ten kills at steps of a local account", () => killWhileLocal({ kills: 10 }));
