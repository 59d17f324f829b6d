import { it } from "vitest";
import { killInPull } from "./kill-in-pull.ts";

it("ten kills in a pull lose and double nothing", { timeout: 300_000 }, () => killInPull(10));
