import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EncodedMailboxName } from "../../src/mail/ids.ts";
import { decodeMailboxName, encodeMailboxName } from "../../src/mail/mailbox-name.ts";

const pairs: [string, string][] = [
  ["INBOX", "INBOX"],
  ["A&B", "A&-B"],
  ["&", "&-"],
  ["Entwürfe", "Entw&APw-rfe"],
  ["日本語", "&ZeVnLIqe-"],
  ["~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"],
  ["😀 emoji", "&2D3eAA- emoji"],
  ["ü&ü", "&APw-&-&APw-"],
  ["tab\there", "tab&AAk-here"],
];

describe("modified UTF-7", () => {
  test.each(pairs)("%s is %s", (text, encoded) => {
    expect(encodeMailboxName(text)).toBe(encoded);
    expect(decodeMailboxName(encoded as EncodedMailboxName)).toBe(text);
  });

  test.each([
    ["a&b", "a&b"],
    ["a&APw", "a&APw"],
    ["&!!!-", "&!!!-"],
    ["&AP-", "&AP-"],
    ["Gr\xfc\xdfe", "Grüße"],
    ["Gr\xc3\xbc\xc3\x9fe", "Grüße"],
  ])("%j, which is not valid, is shown as %j", (encoded, shown) => {
    expect(decodeMailboxName(encoded as EncodedMailboxName)).toBe(shown);
  });

  test("INBOX in any case is one name", () => {
    expect(encodeMailboxName("inbox")).toBe("INBOX");
    expect(encodeMailboxName("inbox/x")).toBe("inbox/x");
  });

  test("what is encoded decodes to the same, in printable ASCII", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const encoded = encodeMailboxName(text);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeMailboxName(encoded)).toBe(encoded === "INBOX" ? "INBOX" : text);
      }),
    );
  });

  test("decoding never fails, whatever the bytes", () => {
    const bytes = fc.array(fc.oneof(fc.constantFrom(0x26, 0x2d, 0x41, 0x2c), fc.nat(255)));
    fc.assert(
      fc.property(bytes, (name) => {
        const encoded = Buffer.from(name).toString("latin1") as EncodedMailboxName;
        expect(typeof decodeMailboxName(encoded)).toBe("string");
      }),
    );
  });
});
