import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTextDecoder, decodeCharset } from "../../src/mail/charset.ts";
import { decodeHeaderText } from "../../src/mail/header-text.ts";

const bytes = (latin1: string): Buffer => Buffer.from(latin1, "latin1");

describe("charsets", () => {
  const samples: [string, string, string][] = [
    ["utf-8", "Gr\xc3\xbc\xc3\x9fe", "Grüße"],
    ["UTF8", "\xe6\x97\xa5", "日"],
    ["us-ascii", "a\xc3\xbc", "aü"],
    ["ISO-8859-1", "Gr\xfc\xdfe", "Grüße"],
    ["latin1", "\xfc", "ü"],
    ["windows-1252", "\x80", "€"],
    ["koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"],
    ["Shift_JIS", "\x93\xfa\x96{\x8c\xea", "日本語"],
    ["iso-2022-jp", "\x1b$BF|K\\8l\x1b(B!", "日本語!"],
    ["gb2312", "\xc4\xe3\xba\xc3", "你好"],
    ["utf-16le", "a\0b\0", "ab"],
  ];

  test.each(samples)("%s", (charset, latin1, text) => {
    expect(decodeCharset(bytes(latin1), charset)).toBe(text);
  });

  test.each(samples)("%s in pieces", (charset, latin1, text) => {
    const whole = bytes(charset.startsWith("utf-16") ? latin1 : `${latin1}\n${latin1}`);
    const decoder = createTextDecoder(charset);
    const decoded = [...whole].map((byte) => decoder?.write(Buffer.of(byte))).join("") + decoder?.end();
    expect(decoded).toBe(charset.startsWith("utf-16") ? text : `${text}\n${text}`);
  });

  test.each(["x-unknown", "utf-7", "base64", "hex", "__proto__", "constructor"])(
    "%s is not known",
    (charset) => {
      expect(decodeCharset(bytes("a"), charset)).toBeUndefined();
      expect(createTextDecoder(charset)).toBeUndefined();
    },
  );

  test("broken bytes become U+FFFD", () => {
    expect(decodeCharset(bytes("a\xff"), "utf-8")).toBe("a\ufffd");
  });
});

describe("header text", () => {
  test.each<[string, string]>([
    ["plain", "plain"],
    ["=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?Q?_aus_K=F6ln?=", "Grüße aus Köln"],
    ["=?utf-8?B?5pel5pys?=\r\n =?utf-8?B?6Kqe?=", "日本語"],
    ["=?utf-8?B?5pel5p?==?utf-8?B?ys6Kqe?=", "日本語"],
    ["=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= <j@x>", "日本 <j@x>"],
    ["one\r\n two\n\tthree", "one two three"],
    ["=?utf-8?Q?unclosed", "=?utf-8?Q?unclosed"],
    ["=?utf-8?X?a?=", "=?utf-8?X?a?="],
    ["Gr\xc3\xbc\xc3\x9fe", "Grüße"],
    ["Gr\xfc\xdfe", "Gr\ufffd\ufffde"],
  ])("%j is %s", (raw, text) => {
    expect(decodeHeaderText(bytes(raw))).toBe(text);
  });

  test("never fails, and ASCII without encoded words stays", () => {
    const alphabet = fc.constantFrom("=", "?", "Q", "B", "u", "t", "f", "-", "8", " ", "\n", "\xff", "_");
    fc.assert(
      fc.property(fc.string({ unit: alphabet }), (raw) => {
        expect(typeof decodeHeaderText(bytes(raw))).toBe("string");
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", " ", "(", '"') }), (raw) => {
        expect(decodeHeaderText(bytes(raw))).toBe(raw);
      }),
    );
  });
});
