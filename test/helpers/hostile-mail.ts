/** Mail that is made to break whoever takes it apart: too deep, too many, too long, never ending. */
import type { SampleMail } from "./odd-mail.ts";

const multipart = (boundary: string, subtype = "mixed"): string =>
  `Content-Type: multipart/${subtype}; boundary="${boundary}"\r\n\r\n`;
const name = (level: number): string => `-${String(level).padStart(4, "0")}`;

/** What Dovecot shows, too. */
export function hostileMails(): SampleMail[] {
  const levels = Array.from({ length: 1_000 }, (_, level) => name(level));
  const prefixes = Array.from({ length: 60 }, (_, level) => "b".repeat(level + 1));
  const open = (names: readonly string[]): string =>
    names.map((boundary) => `${multipart(boundary)}--${boundary}\r\n`).join("");
  return [
    sample("1,000 multiparts in each other", `${open(levels)}\r\nx\r\n`),
    sample(
      "1,000 multiparts, all closed",
      `${open(levels)}\r\nx\r\n${[...levels]
        .reverse()
        .map((boundary) => `--${boundary}--\r\n`)
        .join("")}`,
    ),
    sample("1,000 messages in each other", `${"Content-Type: message/rfc822\r\n\r\n".repeat(1_000)}x\r\n`),
    sample("digests in each other", `${multipart("d", "digest")}--d\r\n\r\n`.repeat(300)),
    sample("10,050 parts", `${multipart("b")}${"--b\r\n\r\nx\r\n".repeat(10_050)}--b--\r\n`),
    sample("20,000 empty parts", multipart("b") + "--b\r\n".repeat(20_000)),
    sample(
      "boundaries that begin each other",
      `${open(prefixes)}\r\nx\r\n${prefixes.map((boundary) => `--${boundary}\r\n\r\ny\r\n`).join("")}`,
    ),
    sample(
      "a header of 2 MB",
      `X: y\r\n${multipart("b").slice(0, -2)}${`X-Filler: ${"x".repeat(980)}\r\n`.repeat(2_000)}\r\n--b\r\n\r\nx\r\n`,
    ),
    sample("a line of 1 MB in the header", `Subject: ${"x".repeat(1 << 20)}\r\nFrom: a@b\r\n\r\nx\r\n`),
    sample("a fold of 1 MB", `Subject: x${"\r\n y".repeat(1 << 18)}\r\nFrom: a@b\r\n\r\nx\r\n`),
    sample("no end of the header", `Subject: x\r\n${"X-Y: z\r\n".repeat(5_000)}`),
    sample(
      "lone CRs",
      `Subject: a\rb\r\n${multipart("b").slice(0, -2)}\r\n\r\n--b\r\rx\r--b\r\n\r\ny\r--b--\rz\r\n`,
    ),
    sample("no last boundary", `${multipart("b")}--b\r\n\r\nx\r\n--b\r\n\r\ny`),
    sample("a boundary that breaks off", `${multipart("abc")}--abc\r\n\r\nx\r\n--ab`),
    sample("20,000 addresses", `From: ${"a@b,".repeat(20_000)}\r\n\r\nx\r\n`),
    sample("10,000 parameters", `Content-Type: text/plain${"; a=b".repeat(10_000)}\r\n\r\nx\r\n`),
    sample(
      "300 parameters, some of pieces",
      `Content-Type: a/b${numbered(100, "; p#=b")}${numbered(200, "; n*#=c")}\r\n\r\nx\r\n`,
    ),
    sample(
      "a boundary behind 128 parameters",
      `Content-Type: multipart/mixed${numbered(128, "; p#=b")}; boundary=b\r\n\r\n--b\r\n\r\nx\r\n`,
    ),
    sample(
      "a boundary behind 127 parameters",
      `Content-Type: multipart/mixed${numbered(127, "; p#=b")}; boundary=b\r\n\r\n--b\r\n\r\nx\r\n`,
    ),
    sample(
      "300 parameters of a disposition",
      `Content-Type: a/b\r\nContent-Disposition: x${numbered(300, "; p#=b")}\r\n\r\nx\r\n`,
    ),
  ];
}

/** Which a tree has no room for, and of which no more may be made than a moment and some megabytes. */
export function oversizedMails(): SampleMail[] {
  const addresses = `From: ${"a,".repeat(100 << 10)}\r\n\r\nx\r\n`;
  const parts = (count: number, header: string): string => `--b\r\n${header}\r\n\r\nx\r\n`.repeat(count);
  return [
    sample(
      "100 messages of 100,000 addresses",
      multipart("b", "digest") + `--b\r\n\r\n${addresses}`.repeat(100),
    ),
    sample("two million parameters", `Content-Type: text/plain${";a=b".repeat(1_900_000)}\r\n\r\nx`),
    sample(
      "1,000 parameters in each of 8,000 parts",
      multipart("b") + parts(8_000, `Content-Type: text/plain${";a=b".repeat(1_000)}`),
    ),
    sample(
      "a million parameters of dispositions",
      multipart("b") + parts(1_000, `Content-Disposition: x${";a=b".repeat(1_000)}`),
    ),
    sample(
      "four million languages",
      `MIME-Version: 1.0\r\nContent-Language: ${"a,".repeat(4_000_000)}\r\n\r\nx`,
    ),
    sample(
      "descriptions of 40 MB",
      multipart("b") + parts(10, `Content-Description: ${"x".repeat(4 << 20)}`),
    ),
    sample("addresses 99 messages deep", `${"Content-Type: message/rfc822\r\n\r\n".repeat(98)}${addresses}`),
  ];
}

function numbered(count: number, text: string): string {
  return Array.from({ length: count }, (_, index) => text.replace("#", `${index}`)).join("");
}

function sample(title: string, text: string): SampleMail {
  return { name: title, bytes: Buffer.from(text, "latin1") };
}
