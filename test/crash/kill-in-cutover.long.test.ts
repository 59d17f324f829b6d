import { it } from "vitest";
import { killWhileCuttingOver } from "./kill-in-cutover.ts";

it("a hundred kills at steps of a cutover", () => killWhileCuttingOver({ kills: 100 }), 900_000);
