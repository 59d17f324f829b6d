import { it } from "vitest";
import { killWhileRollingBack } from "./kill-in-rollback.ts";

it("four kills at steps of a rollback", () => killWhileRollingBack({ kills: 4 }), 180_000);
