import { it } from "vitest";
import { killInPull } from "./kill-in-pull.ts";

it.each([1, 2, 3, 4, 5])("series %i: thirty kills in a pull lose and double nothing", (series) =>
  killInPull(30, (Date.now() % 1_000_000) + series),
);
