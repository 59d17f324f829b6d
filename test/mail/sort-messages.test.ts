import { expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, uid } from "../../src/mail/ids.ts";
import { sortable } from "../../src/mail/sort-messages.ts";

const meta = {
  uid: uid(1),
  flags: flagsOf([]),
  internalDate: { epochSeconds: 1_400_000_000, zoneMinutes: 0 },
  sizeBytes: 60_000,
  modSeq: modSeq(1n),
};

it.each(["from", "display-from", "subject"] as const)("holds little of a hostile header: %s", (kind) => {
  const long = "x".repeat(60_000);
  for (const value of [`${long}@example.org`, `"${long}" <a@example.org>`, `a@${long}`]) {
    const header = Buffer.from(`From: ${value}\r\nSubject: ${value}\r\n\r\n`);
    const { values } = sortable([{ kind, reverse: false }], meta, header);
    expect(String(values[0]).length).toBeLessThanOrEqual(2_000);
  }
});
