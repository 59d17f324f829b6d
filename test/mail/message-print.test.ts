import fc from "fast-check";
import { expect, it } from "vitest";
import { createMessagePrint } from "../../src/mail/message-print.ts";
import { receivedDate } from "../../src/mail/received-date.ts";

function print(bytes: Buffer, cuts: readonly number[] = []): string {
  const message = createMessagePrint();
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b).concat(bytes.length)) {
    message.write(bytes.subarray(from, cut));
    from = cut;
  }
  return message.end();
}
const text = (latin1: string): Buffer => Buffer.from(latin1, "latin1");

it.each([
  ["Subject: a\r\n\r\nbody", "Subject: a\r\n\r\nbody\r\n"],
  ["Subject: a\r\n\r\none\r\ntwo\r\n", "Subject: a\n\none\ntwo\n"],
  ["Subject: a\r\n\r\n\0", "Subject: a\r\n\r\n\x80"],
  ["Status: RO\r\nSubject: a\r\n\r\n", "Subject: a\r\n\r\n\r\n\r\n"],
])("%j and %j are one message", (one, other) => expect(print(text(one))).toBe(print(text(other))));

it.each([
  ["Subject: a\r\n\r\nbody", "Subject: b\r\n\r\nbody"],
  ["Subject: a\r\n\r\nbody", "Subject: a\r\n\r\nbodies"],
  ["Subject: a\r\n\r\na\r\n\r\nb", "Subject: a\r\n\r\na\r\nb"],
])("%j and %j are two", (one, other) => expect(print(text(one))).not.toBe(print(text(other))));

it("does not depend on how the bytes were cut", () => {
  const pieces = fc.array(fc.constantFrom("\r", "\n", "\r\n", "a", "Subject: b", ":", "\0", "\r\n\r\n"));
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(60), { maxLength: 6 }), (parts, cuts) => {
      const bytes = text(parts.join(""));
      expect(
        print(
          bytes,
          cuts.filter((cut) => cut <= bytes.length),
        ),
      ).toBe(print(bytes));
    }),
  );
});

it.each([
  [
    "Received: by b; Thu, 1 Oct 2020 10:00:05 +0200\r\nDate: Thu, 1 Oct 2020 09:00:00 +0200\r\n\r\n",
    1601539205,
  ],
  ["Received: by b (x;y);\r\n\tThu, 1 Oct 2020\r\n 10:00:05 +0200\r\n\r\n", 1601539205],
  ["Received: by nobody\r\nDate: Thu, 1 Oct 2020 10:00:05 +0200\r\n\r\n", 1601539205],
  ["Subject: none\r\n\r\n", undefined],
])("%j came at %s", (header, epochSeconds) =>
  expect(receivedDate(text(header))?.epochSeconds).toBe(epochSeconds),
);
