import { describe, expect, it } from "vitest";
import { createServerFieldFilter } from "../../src/mail/server-fields.ts";

function filtered(text: string, pieceBytes = text.length || 1): string {
  const pieces: Buffer[] = [];
  const filter = createServerFieldFilter((bytes) => void pieces.push(Buffer.from(bytes)));
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; at += pieceBytes) filter.write(bytes.subarray(at, at + pieceBytes));
  filter.end();
  return Buffer.concat(pieces).toString("latin1");
}

describe("createServerFieldFilter", () => {
  it.each([
    ["Subject: a\r\nStatus: RO\r\nX-UID: 7\r\n\r\nbody\r\n", "Subject: a\r\n\r\nbody\r\n"],
    ["X-IMAPbase: 1 2\r\n   3\r\nSubject: a\r\n  b\r\n\r\n", "Subject: a\r\n  b\r\n\r\n"],
    ["x-uidl : abc\nSubject: a\n\nStatus: in the body\n", "Subject: a\n\nStatus: in the body\n"],
    ["X-Keywords:\r\n\r\nX-UID: 9\r\n", "\r\nX-UID: 9\r\n"],
    ["Statuses: many\r\nX-UIDx: 1\r\n", "Statuses: many\r\nX-UIDx: 1\r\n"],
    ["Subject: no end\r\nX-UIDL: abc", "Subject: no end\r\n"],
    ["\r\nX-UIDL: abc\r\n", "\r\nX-UIDL: abc\r\n"],
    [`Long: ${"x".repeat(10_000)}\r\nStatus: O\r\n\r\nbody`, `Long: ${"x".repeat(10_000)}\r\n\r\nbody`],
    ["", ""],
  ])("%j", (text, expected) => {
    for (const pieceBytes of [1, 2, 3, 7, 5_000, 100_000]) expect(filtered(text, pieceBytes)).toBe(expected);
  });
});
