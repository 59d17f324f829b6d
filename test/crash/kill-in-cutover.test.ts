import { it } from "vitest";
import { killWhileCuttingOver } from "./kill-in-cutover.ts";

it("six kills at steps of a cutover", () => killWhileCuttingOver({ kills: 6 }), 120_000);
