import { expect, it } from "vitest";
import { headerPrint } from "../../src/mail/header-print.ts";
import { uid, uidValidity } from "../../src/mail/ids.ts";
import { parseUidlFormat, uidlPresets } from "../../src/mail/uidl-format.ts";

/** Dovecot's own test values (test-pop3-migration-plugin.c). */
it.each([
  ["a: b\r\n", "44ef6a20971148dd54a161f79814e22e2d098ddb", false],
  ["a: b \r\n", "44ef6a20971148dd54a161f79814e22e2d098ddb", false],
  ["a: b\r\n \r\n", "44ef6a20971148dd54a161f79814e22e2d098ddb", false],
  ["a: b\nfoo\n", "44ef6a20971148dd54a161f79814e22e2d098ddb", false],
  ["a: b\r\n\r\n", "938b96404495cced816e3a4f6031734eab4e71b3", true],
  ["a: b\n\n", "938b96404495cced816e3a4f6031734eab4e71b3", true],
])("the print of %j", (header, hash, isWhole) => {
  expect(headerPrint(Buffer.from(header))).toEqual({ hash, isWhole });
});

it.each([
  ["Status: RO\r\nX-UIDL: 7\r\nSubject: a\r\n\r\n", "Subject: a\r\n\r\n"],
  ["Subject: a\r\n b\r\n\r\nbody", "Subject: a\r\n\tb\r\n\r\nother body"],
  ["Received: from a by b; date\r\n\r\n", "Received: from a\r\n\tby b;\r\n date\r\n\r\n"],
  ["Subject: \xe4\xf6\r\n \xfc\r\n\r\n", "Subject: \xe4\xf6 \xfc\r\n\r\n"],
  ["Subject: \xe4\xf6\r\n\r\n", "Subject: ?\r\n\r\n"],
  ["Content-Length: 12\r\n\t13\r\nSubject: a\r\n\r\n", "Subject: a\r\n\r\n"],
  ["no field\r\nSubject: a\r\n\r\n", "Subject: a\r\n\r\n"],
])("%j and %j have the same print", (one, other) => {
  const print = (text: string): string => headerPrint(Buffer.from(text, "latin1")).hash;
  expect(print(one)).toBe(print(other));
});

const parts = { uid: uid(0x2a), uidValidity: uidValidity(0x4c0f1234), fileName: "1.M2.host", guid: "abc" };

it.each([
  [uidlPresets.dovecot, "0000002a4c0f1234"],
  [uidlPresets.cyrus, "1276056116.42"],
  [uidlPresets.courier, "1276056116-42"],
  ["%Xu", "2a"],
  ["%f", "1.M2.host"],
  ["x%g%%", "xabc%"],
])("%s makes %s", (format, expected) => {
  expect(parseUidlFormat(format)?.of(parts)).toBe(expected);
});

it.each(["%v", "%m", "%", "plain", "%u x", "%08xu"])("%s is no format", (format) => {
  expect(parseUidlFormat(format)).toBeUndefined();
});
