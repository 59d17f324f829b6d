import { it } from "vitest";
import { killWhileRollingBack } from "./kill-in-rollback.ts";

it("a hundred kills at steps of a rollback", () => killWhileRollingBack({ kills: 100 }));
