import { it } from "vitest";
import { changeFromThreeSides } from "./two-way.ts";

it("three sides change a mailbox for 30 seconds, and see the same at the end", () =>
  changeFromThreeSides(30_000));
