import { describe, it } from "vitest";
import { legacyKinds } from "../helpers/legacy-server.ts";
import { workOnBothSides } from "./mirror.ts";

describe.each(legacyKinds)("$name", (kind) => {
  it("is equal here after four seconds of work on both sides", () =>
    workOnBothSides(kind, { messages: 300, mailboxes: 8, durationMs: 4_000 }));
});
