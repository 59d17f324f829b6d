import { describe, it } from "vitest";
import { legacyKinds } from "../helpers/legacy-server.ts";
import { workOnBothSides } from "./mirror.ts";

describe.each(legacyKinds)("$name", (kind) => {
  it("is equal here after a minute of work on both sides", () =>
    workOnBothSides(kind, { messages: 5_000, mailboxes: 40, durationMs: 60_000 }));
});
