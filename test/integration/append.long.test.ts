import { it } from "vitest";
import { appendAndCut } from "./append-and-cut.ts";

it("cut 50 times while APPEND is on its way, no message is lost or doubled", () => appendAndCut(50));
