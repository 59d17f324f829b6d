/** Messages that have broken mail software before, and ordinary ones; each with its name. */
import { createRandom, type Random } from "./random.ts";

export interface SampleMail {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Text is written as latin1, one char per byte: 8-bit bytes and NULs can stand in it as they are. */
const sample = (name: string, text: string): SampleMail => ({ name, bytes: Buffer.from(text, "latin1") });
const utf8 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
const base64 = (text: string): string =>
  Buffer.from(text, "latin1").toString("base64").replace(/.{76}/g, "$&\n");

const head = (subject: string, more = ""): string =>
  `Return-Path: <alice@example.org>\nReceived: from a.example (a.example [192.0.2.1])\n\tby mx.example.com;` +
  ` Mon, 05 Feb 2018 10:11:12 +0100\nDate: Mon, 5 Feb 2018 10:11:10 +0100\n` +
  `From: Alice Example <alice@example.org>\nTo: Bob <bob@example.com>, "Ce, D." <ce@example.com>\n` +
  `Message-ID: <${subject.replace(/\W/g, "")}@example.org>\nSubject: ${subject}\n${more}`;

const mime = (type: string, more = ""): string => `MIME-Version: 1.0\nContent-Type: ${type}\n${more}`;

function multipart(type: string, boundary: string, parts: readonly string[]): string {
  const body = parts.map((part) => `--${boundary}\n${part}\n`).join("");
  return `Content-Type: multipart/${type}; boundary="${boundary}"\n\n${body}--${boundary}--\n`;
}

const text = (content: string): string => `Content-Type: text/plain; charset=us-ascii\n\n${content}`;

export function oddMails(seed: number): SampleMail[] {
  const random = createRandom(seed);
  return [
    ...ordinaryMails(),
    ...charsetMails(),
    ...brokenMails(),
    ...brokenMultiparts(),
    ...nestedMails(),
    ...headerMails(),
    ...Array.from({ length: 30 }, (_, index) => sample(`random tree ${index}`, randomTree(random))),
  ];
}

function ordinaryMails(): SampleMail[] {
  const html = "<html><body><p>Hallo&nbsp;=E4</p></body></html>\n".repeat(8);
  const alternative = multipart("alternative", "alt-1", [
    text("plain text\n"),
    `Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n${html}`,
  ]);
  const picture =
    `Content-Type: image/png; name="pic.png"\nContent-ID: <pic@x>\nContent-Transfer-Encoding: base64\n` +
    `Content-Disposition: inline; filename="pic.png"; size=4000\n\n${base64("\x89PNG\r\n\x1a\n\0".repeat(400))}\n`;
  const attachment =
    `Content-Type: application/pdf\nContent-Disposition: attachment;\n filename*0*=UTF-8''Rechnung%20;\n` +
    ` filename*1*=f%C3%BCr%20Bob.pdf\nContent-Description: the bill\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n` +
    `Content-Language: de, en\nContent-Location: http://example.org/x.pdf\n` +
    `Content-Transfer-Encoding: base64\n\n${base64("%PDF-1.4 ".repeat(300))}\n`;
  const related = multipart("related; type=text/html", "rel=1", [alternative, picture]);
  const report = multipart("report; report-type=delivery-status", "rep", [
    text("could not deliver\n"),
    "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\nAction: failed\n",
    `Content-Type: text/rfc822-headers\n\n${head("returned")}`,
  ]);
  return [
    sample("plain", `${head("plain")}\nJust text.\n`),
    sample("stored with CRLF", `${head("crlf")}\nTwo\nlines.\n`.replaceAll("\n", "\r\n")),
    sample("mixed related alternative", head("nested") + multipart("mixed", "mix", [related, attachment])),
    sample("delivery report", head("report") + report),
    sample(
      "flowed",
      `${head("flowed", mime("text/plain; format=flowed; delsp=yes"))}\nlong \nline\n-- \nsig\n`,
    ),
    sample(
      "calendar",
      `${head("cal", mime("text/calendar; method=REQUEST"))}\nBEGIN:VCALENDAR\nEND:VCALENDAR\n`,
    ),
    sample(
      "binary",
      `${head("bin", mime("application/octet-stream", "Content-Transfer-Encoding: binary\n"))}\n\x01\x02\xff\xfe\n`,
    ),
    sample("uuencode", `${head("uu")}\nbegin 644 a.txt\n#0V%T\n\`\nend\n`),
    sample("long line", `${head("long line")}\n${"x".repeat(100_000)}\n`),
  ];
}

function charsetMails(): SampleMail[] {
  const body = (name: string, charset: string, encoding: string, content: string): SampleMail =>
    sample(
      name,
      `${head(name, mime(`text/plain; charset=${charset}`, `Content-Transfer-Encoding: ${encoding}\n`))}\n${content}`,
    );
  return [
    body("utf-8 8bit", "utf-8", "8bit", utf8("Grüße aus Köln — 日本語 😀\n")),
    body("latin1 8bit", "ISO-8859-1", "8bit", "Gr\xfc\xdfe\n"),
    body("latin1 qp", "iso-8859-1", "quoted-printable", "Gr=FC=DFe, soft=\nbreak =3D =\n\n"),
    body("koi8-r", "koi8-r", "base64", `${base64("\xf0\xd2\xc9\xd7\xc5\xd4")}\n`),
    body("iso-2022-jp", "iso-2022-jp", "7bit", "\x1b$BF|K\\8l\x1b(B\n"),
    body("shift_jis", "Shift_JIS", "8bit", "\x93\xfa\x96{\x8c\xea\n"),
    body("gb2312", "gb2312", "8bit", "\xc4\xe3\xba\xc3\n"),
    body("unknown charset", "x-none-such", "8bit", "a\xe9b\n"),
    body("unknown encoding", "utf-8", "x-strange", "text\n"),
    sample("8-bit without a charset", `${head("eight")}\nna\xefve caf\xe9\n`),
    sample(
      "raw 8-bit header",
      `Subject: Gr\xfc\xdfe\nFrom: "J\xf6rg" <j@example.org>\nTo: ${utf8("Zoë")} <z@example.org>\n\nx\n`,
    ),
  ];
}

function brokenMails(): SampleMail[] {
  return [
    sample("NUL bytes", `Subject: nul \0 here\nX-\0: y\n\nbody \0\0 end\n`),
    sample("mixed line ends", "Subject: mixed\r\nX-A: 1\nX-B: 2\r\n\r\none\ntwo\r\nthree\rfour\n\r\n"),
    sample("CR CR LF", "Subject: crcrlf\r\r\nX-A: 1\r\r\n\r\r\nbody\r\r\n"),
    sample("empty message", ""),
    sample("one newline", "\n"),
    sample("no headers", "\nonly a body\n"),
    sample("no header at all, no blank line", "this is not a header\nnor is this\n"),
    sample("headers only, no blank line", "Subject: headers only\nFrom: a@example.org\n"),
    sample("headers only, no final newline", "Subject: no newline"),
    sample("no final newline", `${head("no final newline")}\nlast line without end`),
    sample("ends in CR", "Subject: cr\n\nbody\r"),
    sample("From line in the body", `${head("from")}\nFrom here on\n>From there\n`),
    sample("starts with a continuation", " folded without a start\nSubject: after\n\nx\n"),
    sample(
      "spaces around the colon",
      "Subject : spaced\nFROM\t:a@example.org\nTo:b@example.org\nEmpty:\n\nx\n",
    ),
    sample("blank-looking line in header", "Subject: a\n \t\n b\nFrom: c@example.org\n\nx\n"),
    sample("junk line in header", "Subject: a\nnot a header line\nFrom: c@example.org\n\nx\n"),
  ];
}

function brokenMultiparts(): SampleMail[] {
  const odd = (name: string, contentType: string, body: string): SampleMail =>
    sample(name, `${head(name, mime(contentType))}\n${body}`);
  return [
    odd("not closed", 'multipart/mixed; boundary="b"', `--b\n${text("one\n")}\n--b\n${text("two\n")}`),
    odd("no boundary", "multipart/mixed", `--b\n${text("one\n")}\n--b--\n`),
    odd("empty multipart", "multipart/mixed; boundary=b", ""),
    odd("closed at once", "multipart/mixed; boundary=b", "--b--\n"),
    odd(
      "preamble and epilogue",
      "multipart/mixed; boundary=b",
      `pre\n--b\n${text("x\n")}\n--b--\nepi\n--b\nmore\n`,
    ),
    odd(
      "boundary with specials",
      `multipart/mixed; boundary="a '()+_,-./:=? b"`,
      `--a '()+_,-./:=? b\n\nx\n--a '()+_,-./:=? b--\n`,
    ),
    odd("trailing space after boundary", "multipart/mixed; boundary=b", "--b  \t\n\nx\n--b-- \n"),
    odd(
      "boundary is a prefix",
      'multipart/mixed; boundary="b"',
      `--b\n${multipart("mixed", "bb", [text("x\n")])}\n--b--\n`,
    ),
    odd(
      "inner never closed",
      'multipart/mixed; boundary="o"',
      `--o\nContent-Type: multipart/mixed; boundary="i"\n\n--i\n\nx\n--o\n\ny\n--o--\n`,
    ),
    odd(
      "part without headers",
      "multipart/mixed; boundary=b",
      "--b\n\nno headers\n--b\nno blank line either\n--b--\n",
    ),
    odd("digest", "multipart/digest; boundary=b", `--b\n\n${head("in digest")}\nx\n--b--\n`),
    odd("broken rfc822", "message/rfc822", ""),
    odd(
      "encoded rfc822",
      "message/rfc822\nContent-Transfer-Encoding: base64",
      `${base64(`${head("inner")}\nx\n`)}\n`,
    ),
    odd("type only", "text", "x\n"),
    odd("type with slash only", "/", "x\n"),
    odd("parameters without values", "text/plain; charset; name=; x=y;;", "x\n"),
    odd("comments in type", 'text/(what)plain (x); charset (y) = "us-ascii"', "x\n"),
    odd("capital type", 'TEXT/HTML; CHARSET="UTF-8"', "<p>x\n"),
    odd("partial", "message/partial; id=a; number=1; total=2", "x\n"),
    odd(
      "external body",
      'message/external-body; access-type=URL; URL="http://x"',
      "Content-Type: text/plain\n\nx\n",
    ),
    sample("two content types", `${head("two")}${mime("text/plain")}${mime("text/html")}\nx\n`),
    sample("multipart without mime version", `${head("nov")}${multipart("mixed", "b", [text("x\n")])}`),
    sample(
      "many parts",
      head("many") +
        multipart(
          "mixed",
          "many",
          Array.from({ length: 300 }, (_, n) => text(`${n}\n`)),
        ),
    ),
  ];
}

function nestedMails(): SampleMail[] {
  const forwarded = (inner: string): string => `Content-Type: message/rfc822\n\n${inner}`;
  let matryoshka = `${head("innermost")}\nthe core\n`;
  for (let level = 0; level < 4; level++) {
    matryoshka =
      head(`level ${level}`) + multipart("mixed", `l${level}`, [text("see below\n"), forwarded(matryoshka)]);
  }
  let deep = text("bottom\n");
  for (let level = 0; level < 60; level++) deep = multipart("mixed", `deep${level}`, [deep]);
  return [
    sample("forwarded", head("fwd") + forwarded(`${head("original")}\noriginal text\n`)),
    sample(
      "forwarded multipart",
      head("fwd mixed") + forwarded(head("mixed") + multipart("mixed", "f", [text("a\n"), text("b\n")])),
    ),
    sample("forwarded four times", matryoshka),
    sample("sixty levels deep", head("deep") + deep),
  ];
}

function headerMails(): SampleMail[] {
  const odd = (name: string, lines: string): SampleMail => sample(name, `${lines}\nbody of ${name}\n`);
  return [
    odd(
      "encoded words",
      "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?Q?_aus_K=F6ln?=\n =?UTF-8?B?8J+YgA==?= end\n",
    ),
    odd(
      "split encoded word",
      "Subject: =?utf-8?B?5pel5pys?=\n =?utf-8?B?6Kqe?=\nFrom: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= <j@x>\n",
    ),
    odd("broken encoded words", "Subject: =?utf-8?B?!!!?= =?none?Q?a?= =?utf-8?X?a?= =?utf-8?Q?unclosed\n"),
    odd("groups", 'To: friends: a@x.org, "B, C" <b@x.org>;, undisclosed-recipients:;\nCc: none:;\n'),
    odd("comments", "From: (one) al(two)ice@example.org (Alice (nested) E)\nTo: <@a,@b:c@example.org>\n"),
    odd(
      "odd addresses",
      'From: alice\nTo: <>\nCc: "unclosed <a@x\nBcc: a@b@c, ,, <d@e\nReply-To: "q\\"q" <q@x>\n',
    ),
    odd("repeated fields", "To: a@x.org\nTo: b@x.org\nSubject: one\nSubject: two\nFrom: a@x\nFrom: b@x\n"),
    odd("bad dates", "Date: yesterday\nSubject: bad date\n"),
    odd("two-digit year", "Date: 1 Jan 99 00:00 GMT\nSubject: old date\n"),
    odd("date with comment", "Date: Tue, 31 Dec 2019 23:59:60 -1200 (far (west))\nSubject: leap\n"),
    odd(
      "references",
      `In-Reply-To: <a@x> (was) <b@y>\nReferences: ${"<ref@example.org>\n ".repeat(50)}<last@x>\n`,
    ),
    odd("folded", `Subject: one\n two\n\tthree\n  ${"four ".repeat(300)}\n`),
    odd("long header", `X-Long: ${"a".repeat(12_000)}\nSubject: long\n`),
    odd("many headers", Array.from({ length: 500 }, (_, n) => `X-Header-${n}: value ${n}\n`).join("")),
    odd("quotes and backslashes", 'Subject: "quoted" \\ back\\slash {5}\nFrom: "a\\\\b" <a@x>\n'),
    odd("parentheses", "Subject: (unbalanced [brackets\nMessage-ID: no brackets\n"),
  ];
}

function randomTree(random: Random): string {
  return head(random.words(4)) + randomPart(random, 4);
}

function randomPart(random: Random, depth: number): string {
  const choice = depth === 0 ? random.below(3) : random.below(6);
  switch (choice) {
    case 0:
      return text(`${random.words(30)}\n`);
    case 1:
      return `Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n${base64(random.words(60))}\n`;
    case 2:
      return `Content-Type: application/x-${random.below(99)}; name="${random.words(2)}"\n\n${random.words(5)}`;
    case 3:
      return `Content-Type: message/rfc822\n\n${head(random.words(2))}${randomPart(random, depth - 1)}`;
    default: {
      const parts = Array.from({ length: 1 + random.below(3) }, () => randomPart(random, depth - 1));
      return multipart(random.pick(["mixed", "alternative", "related"]), `b${random.below(1e9)}`, parts);
    }
  }
}
