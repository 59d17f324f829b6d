import { it } from "vitest";
import { killWhileLocal, killWhileMirroring } from "./kill-points.ts";

it("a hundred kills at steps of a mirrored account", () => killWhileMirroring({ kills: 100 }));

it("a hundred kills at steps of a local account", () => killWhileLocal({ kills: 100 }));
