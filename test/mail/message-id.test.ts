import { expect, it } from "vitest";
import { messageIds } from "../../src/mail/message-id.ts";
import { growthOf } from "../helpers/growth.ts";

it("takes Message-IDs as Dovecot does", () => {
  expect(messageIds('<a@b> text <"quo ted"@x> <no-at> <c @ d> <"q\\"q"@x>')).toEqual([
    "a@b",
    "quoted@x",
    "c@d",
    'q"q@x',
  ]);
  expect(messageIds('<"open@x>')).toEqual(['"open@x']);
});

it("reads hostile quotes in one pass", () => {
  const make = (bytes: number): string => `<"${'\\"'.repeat(bytes / 2)}@x>`;
  expect(growthOf(messageIds, make)).toBeLessThan(3);
});
