import { it } from "vitest";
import { manySessions } from "./concurrent-sessions.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

it.each(["mirroring", "local"] as const)("20 sessions on one mailbox for 60 s, %s", (stage) =>
  manySessions(stage, 60_000, seed),
);
