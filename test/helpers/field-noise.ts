/** Messages whose fields are nearly right: what real senders make of RFC 2231, RFC 2183, groups and nesting. */
import type { SampleMail } from "./odd-mail.ts";
import { createRandom, type Random } from "./random.ts";

export function fieldMails(seed: number, count: number): SampleMail[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, index) => ({
    name: `fields ${index}`,
    bytes: Buffer.from(message(random, 0), "latin1"),
  }));
}

function message(random: Random, depth: number): string {
  const fields = [
    ...some(random, 5, addressField),
    ...some(random, 3, textField),
    ...(random.chance(0.8) ? ["MIME-Version: 1.0"] : []),
  ];
  return `${shuffled(random, fields).join("\r\n")}\r\n${entity(random, depth)}`;
}

/** Content fields, blank line and body; the parts of a multipart are entities too. */
function entity(random: Random, depth: number): string {
  const boundary = `b${depth}${random.below(3)}`;
  const kind = depth > 3 ? "leaf" : random.pick(["leaf", "leaf", "multipart", "digest", "message", "lost"]);
  const others = shuffled(random, some(random, 4, contentField));
  switch (kind) {
    case "multipart":
      return (
        fieldsOf(random, `multipart/${random.pick(["mixed", "related", "REPORT"])}`, boundary, others) +
        parts(random, boundary, depth)
      );
    case "digest":
      return fieldsOf(random, "multipart/digest", boundary, others) + digest(random, boundary, depth);
    case "message": {
      const type = random.pick([
        "message/rfc822",
        "message/global",
        "Message/RFC822",
        "message/partial",
        "message/news",
      ]);
      return `${typeField(random, type)}${crlf(others)}\r\n${message(random, depth + 1)}`;
    }
    case "lost":
      // Says that it is a multipart, and not of which boundary; or of another one.
      return (
        `${typeField(random, random.pick(["multipart/mixed", 'multipart/mixed; boundary=""', "multipart"]))}` +
        `${crlf(others)}\r\n${parts(random, boundary, depth)}`
      );
    default:
      return `${random.chance(0.8) ? typeField(random, leafType(random)) : ""}${crlf(others)}\r\n${random.words(4)}\r\n`;
  }
}

function fieldsOf(random: Random, type: string, boundary: string, others: readonly string[]): string {
  const quoted = random.pick([
    boundary,
    `"${boundary}"`,
    `"${boundary}" `,
    `(c)"${boundary}"`,
    `"${boundary[0]}\\${boundary.slice(1)}"`,
  ]);
  const params = shuffled(random, [`boundary=${quoted}`, ...some(random, 2, parameter)]);
  return `Content-Type: ${type}${params.map((one) => `;${fold(random)}${one}`).join("")}\r\n${crlf(others)}\r\n`;
}

function parts(random: Random, boundary: string, depth: number): string {
  const preamble = random.chance(0.3) ? `${random.words(3)}\r\n` : "";
  const inner = Array.from(
    { length: random.below(4) },
    () => `--${boundary}\r\n${entity(random, depth + 1)}\r\n`,
  );
  const end = random.chance(0.8)
    ? `--${boundary}--${random.pick(["", "\r\n", "\r\nepilogue\r\n", " \r\n"])}`
    : "";
  return preamble + inner.join("") + end;
}

/** Parts are message/rfc822 where they do not say otherwise (RFC 2046 5.1.5). */
function digest(random: Random, boundary: string, depth: number): string {
  const part = (): string =>
    random.pick([
      () => `\r\n${message(random, depth + 1)}`,
      () => `\r\n${message(random, depth + 1)}`,
      () => `Content-Description: x\r\n\r\n${message(random, depth + 1)}`,
      () => entity(random, depth + 1),
      () => message(random, depth + 1),
    ])();
  const inner = Array.from({ length: random.below(4) }, () => `--${boundary}\r\n${part()}\r\n`);
  return `${inner.join("")}--${boundary}--\r\n`;
}

function leafType(random: Random): string {
  return random.pick([
    "text/plain",
    "TEXT/HTML",
    "text",
    "application/pdf",
    "image/",
    "/png",
    "text/plain/x",
    "x-a/x-b",
  ]);
}

function typeField(random: Random, type: string): string {
  const params = some(random, 4, parameter).map((one) => `;${fold(random)}${one}`);
  return `${random.pick(["Content-Type", "content-type", "CONTENT-TYPE"])}: ${type}${params.join("")}\r\n`;
}

const charsets = ["", "utf-8", "UTF-8", "iso-8859-1", "x-none"];

/** Plain, or in pieces: in order, out of order, with gaps and doubles, encoded or not or by turns. */
function parameter(random: Random): string {
  const name = random.pick(["name", "filename", "NAME", "title", "charset", "x"]);
  const value = (): string =>
    random.pick([
      "abc",
      "%41%e4b",
      '"with space"',
      '"q\\"uote"',
      '"semi;colon"',
      "''",
      "",
      "=?utf-8?Q?a=C3=A4?=",
      '"=?utf-8?B?w6Q=?="',
      '"100%"',
      "a(comment)b",
      "\xe4\xf6",
      '"\xc3\xa4"',
      "a b",
      '"unclosed',
      "'en'x",
    ]);
  const encoded = (): string =>
    `${random.pick(charsets)}'${random.pick(["", "en", "de-AT"])}'${random.pick(["%C3%A4x", "a%20b", "%zz", "%", "abc"])}`;
  if (random.chance(0.3)) return `${name}${random.pick(["=", "=", " = ", "= ", "(c)="])}${value()}`;
  if (random.chance(0.3)) return `${name}*=${random.chance(0.8) ? encoded() : value()}`;
  const isEncoded = random.chance(0.5);
  const numbers = Array.from({ length: 1 + random.below(4) }, (_, number) => number);
  const told = numbers
    .filter(() => random.chance(0.9))
    .map((number) => (random.chance(0.05) ? random.pick([0, 7, "00", "01", 4294967296]) : number));
  const pieces = told.map((number) => {
    const star = (isEncoded && random.chance(0.8)) || random.chance(0.1) ? "*" : "";
    const first = number === 0 && star !== "";
    return `${random.chance(0.9) ? name : name.toUpperCase()}*${number}${star}=${first ? encoded() : value()}`;
  });
  return (random.chance(0.3) ? shuffled(random, pieces) : pieces).join(`;${fold(random)}`) || "x=y";
}

function contentField(random: Random): string {
  const params = (): string =>
    some(random, 3, parameter)
      .map((one) => `;${fold(random)}${one}`)
      .join("");
  return random.pick([
    () =>
      `Content-Disposition: ${random.pick(["attachment", "INLINE", '"inline"', "form-data", "", "a b", "(c) x"])}${params()}`,
    () => `Content-Disposition:${params()}`,
    () =>
      `Content-Language: ${random.pick(["de", "de, en", "de,en-US,(c) fr", "de en", '"de"', ",de", "de,", "i-x (c), en"])}`,
    () =>
      `Content-Location: ${random.pick(["http://x/a b", "a\r\n b", '"x"', "=?utf-8?Q?x?=", "", "\xe4", "(c) x"])}`,
    () => `Content-MD5: ${random.pick(["Q2hlY2s=", "Q2 hl", '"x"', "", "(c) Q", "Q2hl\r\n Y2s="])}`,
    () => `Content-ID: ${random.pick(["<a@b>", "a@b", "<a@b> (c)", "<a\r\n @b>", "", "\xe4"])}`,
    () =>
      `Content-Description: ${random.pick(["plain", "=?utf-8?Q?a=C3=A4?=", "a\r\n\tb", '"q"', "\xc3\xa4", " "])}`,
    () =>
      `Content-Transfer-Encoding: ${random.pick(["7bit", "BASE64", "base64 ", '"8bit"', "x;y", "(c) 7bit", "quoted-printable", ""])}`,
    () => typeField(random, leafType(random)).trimEnd(),
  ])();
}

function addressField(random: Random): string {
  const name = random.pick(["From", "To", "Cc", "Bcc", "Reply-To", "Sender", "FROM", "to"]);
  const list = some(random, 4, address).join(random.pick([", ", ",", " ,\r\n ", ",,", "; "]));
  return `${name}: ${list}`;
}

function address(random: Random): string {
  const mailbox = (): string =>
    random.pick([
      "a@b.example",
      "<a@b.example>",
      "A B <a@b.example>",
      '"B, A" <a@b.example>',
      '"q\\"\\\\x" <a@b>',
      '"a b"@c.example',
      "a.b.c@[192.0.2.1]",
      "a@[IPv6:2001:db8::1]",
      "a (comment (nested) x) @ b . example",
      "(before) a@b (after)",
      "=?utf-8?Q?J=C3=B6rg?= <j@x>",
      "J\xf6rg <j@x>",
      "<@r1.example,@r2.example:a@b.example>",
      "Name <@r.example:a@b>",
      "<>",
      "Name <>",
      "name only",
      "a@",
      "@b",
      "<a@b",
      "a@b>",
      "a\r\n b <c@d>",
      "A (c) B <a@b>",
      'a."b c".d@e',
      "a @ b",
      "a..b@c",
      "A.B. C <a@b>",
      "\\a@b",
      '"" <a@b>',
      '"unclosed <a@b>',
    ]);
  if (random.chance(0.7)) return mailbox();
  const members = some(random, 3, mailbox).join(random.pick([", ", ",", ",\r\n\t"]));
  const display = random.pick(["group", "A group", '"quoted: group"', "g (c)", "", "=?utf-8?Q?g?=", "a.b"]);
  return `${display}${random.pick([":", ": ", " :"])}${members}${random.pick([";", ";", " ;", "", ";;", "; x@y"])}`;
}

function textField(random: Random): string {
  const value = random.pick([
    "plain text",
    "=?utf-8?Q?a=C3=A4?= =?utf-8?B?w6Q=?=",
    "a\r\n b\r\n\tc",
    "\xe4\xf6\xfc",
    'with "quotes" and \\',
    "",
    " ",
    "<a@b>",
    "<a@b> <c@d>\r\n <e@f>",
    "Mon, 5 Feb 2018 10:11:12 +0100 (CET)",
    "x".repeat(2000),
    "a\r\n  \r\n b",
  ]);
  const name = random.pick([
    "Subject",
    "subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject ",
    "X-Other",
  ]);
  return `${name}:${random.pick([" ", "", "  ", "\t"])}${value}`;
}

function some(random: Random, most: number, make: (random: Random) => string): string[] {
  return Array.from({ length: random.below(most + 1) }, () => make(random));
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

function fold(random: Random): string {
  return random.pick([" ", " ", "", "\r\n ", "\r\n\t", " (c) "]);
}

function crlf(fields: readonly string[]): string {
  return fields.map((field) => `${field}\r\n`).join("");
}
