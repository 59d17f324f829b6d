import { describe, it } from "vitest";
import { legacyKinds } from "../helpers/legacy-server.ts";
import { changeFromThreeSides } from "./two-way.ts";

describe.each(legacyKinds)("$name", (kind) => {
  it("three sides change a mailbox for 30 seconds, and see the same at the end", () =>
    changeFromThreeSides(kind, 30_000));
});
