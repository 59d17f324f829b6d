/** The expected values are what Dovecot 2.3.19 answers. */
import { expect, test } from "vitest";
import { formatEnvelope } from "../../src/mail/envelope.ts";

const envelopeOf = (header: string): string =>
  formatEnvelope(Buffer.from(header, "latin1")).toString("latin1");
/** The To list alone. */
const listOf = (value: string): string =>
  /^\(NIL NIL NIL NIL NIL (.*) NIL NIL NIL NIL\)$/s.exec(envelopeOf(`To: ${value}\r\n\r\n`))?.[1] ?? "";

test("takes every field to its place, Sender and Reply-To from From", () => {
  const header =
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nSubject: =?utf-8?q?x?= y\r\nFrom: A <a@b.c>\r\n" +
    "To: d@e\r\nCc: f@g\r\nBcc: h@i\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\n\r\nTo: not@this";
  const from = '(("A" NIL "a" "b.c"))';
  expect(envelopeOf(header)).toBe(
    `("Mon, 7 Feb 1994 21:52:25 -0800" "=?utf-8?q?x?= y" ${from} ${from} ${from} ` +
      '((NIL NIL "d" "e")) ((NIL NIL "f" "g")) ((NIL NIL "h" "i")) "<1@x>" "<2@x>")',
  );
});

test("is all NIL without fields", () => {
  expect(envelopeOf("\r\n")).toBe("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
});

test("a line without a colon says nothing, whatever stands below it", () => {
  expect(envelopeOf("Subject: one\r\nSubject\r\nFrom: a@b\r\nFrom\r\nTo\r\n x@y\r\nMessage-ID\r\n\r\n")).toBe(
    '(NIL "one" ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)',
  );
});

test("an empty Sender counts as missing, an own one does not", () => {
  expect(envelopeOf("From: a@b\r\nSender:\r\nReply-To: c@d\r\n\r\n")).toBe(
    '(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL)',
  );
});

test("of repeated fields the last counts, of addresses all", () => {
  expect(envelopeOf("Subject: a\r\nTo: a@b\r\nSubject: b\r\nto: c@d\r\n\r\n")).toBe(
    '(NIL "b" NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)',
  );
});

test.each([
  ["plain", '"plain"'],
  ["", '""'],
  ["   ", '""'],
  ["NIL", '"NIL"'],
  ["a\r\n\tfolded", "{8}\r\na folded"],
  ["two  spaces ", "{10}\r\ntwo spaces"],
  ['say "hi"', '{8}\r\nsay "hi"'],
  ["back\\slash", "{10}\r\nback\\slash"],
  ["Gr\xfc\xdfe", "{5}\r\nGr\xfc\xdfe"],
])("subject %j", (value, wire) => {
  expect(envelopeOf(`Subject: ${value}\r\n\r\n`)).toBe(`(NIL ${wire} NIL NIL NIL NIL NIL NIL NIL NIL)`);
});

test.each([
  ["a\r\n b", '"a b"'],
  ['"x"', '"\\"x\\""'],
  ['"""""', '{5}\r\n"""""'],
  ["\xe4", "{1}\r\n\xe4"],
])("message id %j", (value, wire) => {
  expect(envelopeOf(`Message-ID: ${value}\r\n\r\n`)).toBe(`(NIL NIL NIL NIL NIL NIL NIL NIL NIL ${wire})`);
});

test.each([
  ["a@b", '((NIL NIL "a" "b"))'],
  ["a@b, c@d", '((NIL NIL "a" "b")(NIL NIL "c" "d"))'],
  ["Foo Bar <a@b>", '(("Foo Bar" NIL "a" "b"))'],
  ['"Bar, F." <a@b>', '(("Bar, F." NIL "a" "b"))'],
  ['"a \\"b\\"" <a@b>', '(({5}\r\na "b" NIL "a" "b"))'],
  ["J. R. Dot <a@b>", '(("J. R. Dot" NIL "a" "b"))'],
  ["a@b (A Name)", '(("A Name" NIL "a" "b"))'],
  ["a@b (one) (two)", '(("two" NIL "a" "b"))'],
  ["a @ b . c", '((NIL NIL "a" "b.c"))'],
  ['"a b"@c', '((NIL NIL "a b" "c"))'],
  ["a@[1.2.3.4]", '((NIL NIL "a" "[1.2.3.4]"))'],
  ["<@x,@y:a@b>", '((NIL "@x,@y" "a" "b"))'],
  ["g: a@b, c@d;", '((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL "c" "d")(NIL NIL NIL NIL))'],
  ["undisclosed-recipients:;", '((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))'],
  ["J\xf6rg <j@b>", '(({4}\r\nJ\xf6rg NIL "j" "b"))'],
  // From here on it is broken.
  ["foo", '((NIL NIL "foo" "MISSING_DOMAIN"))'],
  ["foo bar", '(("foo bar" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'],
  ['"foo"', '(("foo" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'],
  ["a@", '((NIL NIL "a" "MISSING_DOMAIN"))'],
  ["<>", '((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'],
  ["Foo <a@b", '(("Foo" NIL "a" "SYNTAX_ERROR"))'],
  ["<@x a@b>", '((NIL "INVALID_ROUTE" "a" "b"))'],
  ["a..b@c, .a@b, a.@c", '((NIL NIL "a..b" "c")(NIL NIL ".a" "b")(NIL NIL "a." "c"))'],
  ["a@b;c@d", '((NIL NIL "a" "b"))'],
  ["a@b,,", '((NIL NIL "a" "b")(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'],
  ["(unclosed", "NIL"],
  ['x"a\\bc', '(("x a" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'],
  ["", "NIL"],
])("addresses %j", (value, wire) => {
  expect(listOf(value)).toBe(wire);
});

test("a hostile list is cut, not grown to hundreds of megabytes", () => {
  const wire = envelopeOf(`To: ${"a,".repeat(150_000)}\r\n\r\n`);
  expect(wire.match(/"a" "MISSING_DOMAIN"/g)?.length).toBe(100_000);
});
