import { expect, test } from "vitest";
import { scanMessage } from "../../src/mail/mime-scanner.ts";
import { locateSection, type SectionPart } from "../../src/mail/section.ts";

const inner =
  "Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nin one\r\n--i--\r\n";
const mail = Buffer.from(
  "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n" +
    "--o\r\nContent-Type: text/plain\r\n\r\none\r\n" +
    `--o\r\nContent-Type: message/rfc822\r\n\r\n${inner}\r\n--o--\r\nepilogue\r\n`,
  "latin1",
);

const whole: SectionPart = { kind: "whole" };
const header: SectionPart = { kind: "header" };
const text: SectionPart = { kind: "text" };
const mime: SectionPart = { kind: "mime" };

/** The section's bytes; undefined where there is no such part. */
function sectionOf(bytes: Buffer, path: readonly number[], part: SectionPart): string | undefined {
  const place = locateSection(scanMessage(bytes), { path, part });
  return place.kind === "none" ? undefined : bytes.toString("latin1", place.start, place.end);
}

test.each([
  ["BODY[]", [], whole, mail.toString("latin1")],
  ["BODY[1]", [1], whole, "one"],
  ["BODY[1.MIME]", [1], mime, "Content-Type: text/plain\r\n\r\n"],
  ["BODY[1.1]", [1, 1], whole, "one"],
  ["BODY[1.HEADER]", [1], header, undefined],
  ["BODY[1.TEXT]", [1], text, undefined],
  ["BODY[1.2]", [1, 2], whole, undefined],
  ["BODY[1.1.1]", [1, 1, 1], whole, undefined],
  ["BODY[2]", [2], whole, inner],
  ["BODY[2.MIME]", [2], mime, "Content-Type: message/rfc822\r\n\r\n"],
  ["BODY[2.HEADER]", [2], header, inner.slice(0, inner.indexOf("--i"))],
  ["BODY[2.TEXT]", [2], text, inner.slice(inner.indexOf("--i"))],
  ["BODY[2.1]", [2, 1], whole, "in one"],
  ["BODY[2.1.MIME]", [2, 1], mime, "\r\n"],
  ["BODY[3]", [3], whole, undefined],
  ["BODY[0]", [0], whole, undefined],
  ["BODY[MIME]", [], mime, undefined],
])("%s", (_label, path, part, expected) => {
  expect(sectionOf(mail, path, part)).toBe(expected);
});

test("part 1 of a plain message is its body, with the message's header as MIME", () => {
  const plain = Buffer.from("Subject: x\r\n\r\nbody\r\n");
  expect(sectionOf(plain, [1], whole)).toBe("body\r\n");
  expect(sectionOf(plain, [1], mime)).toBe("Subject: x\r\n\r\n");
  expect(sectionOf(plain, [1, 1], whole)).toBeUndefined();
  expect(sectionOf(plain, [2], whole)).toBeUndefined();
  expect(sectionOf(plain, [], text)).toBe("body\r\n");
});

test("HEADER.FIELDS names the header to look in", () => {
  const part: SectionPart = { kind: "fields", names: ["Subject"], not: false };
  const start = mail.indexOf("Subject: inner");
  expect(locateSection(scanMessage(mail), { path: [2], part })).toEqual({
    kind: "fields",
    start,
    end: mail.indexOf("--i\r\n"),
    names: ["Subject"],
    not: false,
  });
});
