/** Messages made of the pieces that MIME and address parsers stumble over, put together at random. */
import type { SampleMail } from "./odd-mail.ts";
import { createRandom, type Random } from "./random.ts";

/** One char per byte; never a NUL, which Dovecot shows in two ways. */
export function noisyMessage(random: Random): Buffer {
  const head = lines(random, 6, () => noisyField(random));
  const type = random.chance(0.7) ? `Content-Type: ${noisyType(random)}${lineEnd(random)}` : "";
  const blank = random.chance(0.95) ? lineEnd(random) : "";
  const body = lines(random, random.below(25), () => noisyBodyLine(random));
  const rest = random.chance(0.3) ? noisyBodyLine(random) : "";
  return Buffer.from(head + type + blank + body + rest, "latin1");
}

export function noisyMails(seed: number, count: number): SampleMail[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, index) => ({
    name: `noise ${index}`,
    bytes: noisyMessage(random),
  }));
}

/** A header block of addresses and text fields with its blank line. */
export function noisyHeader(random: Random): Buffer {
  return Buffer.from(`${lines(random, 8, () => noisyField(random))}\r\n`, "latin1");
}

const addressPieces = [
  ..."@<>,;:\"().[]\\'/ \t",
  ...["a", "b@c", '"x y"', "(c)", "..", "\r\n ", "\n\t", '\\"', "[1.2]", "\xe4", "=?utf-8?q?x?="],
  ...["g:", "foo", "bar.baz", "<a@b>", "@d,@e:", "\x01", "a.b@c.d"],
];
const textPieces = [...' \t"\\a\r;\x7f\xe9', ...["  ", "\r\n ", "\n ", "word", "=?x?=", "x y", "<id@x>"]];
const parameterPieces = [
  ...'/;=* ".\xe9',
  ...["text", "plain", "multipart", "mixed", "message", "rfc822", "; ", " charset", '"utf-8"', "us-ascii"],
  ...["boundary", "name", "*0", "*1", "*2", "*0*", "''x", "(c)", '\\"', "\r\n ", "%41", "=?x?=", "foo"],
];
const languagePieces = ["en", ",", " ", "de", "(c)", '"', "\r\n ", "-x"];
const encodingPieces = ["7bit", "base64", " ", ";", "(c)", "8BIT", "\r\n ", '"'];
const boundaries = ["a", "b", "ab", "abc", "a--", "--", "a b", "", "x".repeat(90), "x".repeat(79), "a-"];

function noisyType(random: Random): string {
  return random.pick([
    () => `multipart/mixed; boundary="${random.pick(boundaries)}"`,
    () => `multipart/digest; boundary="${random.pick(boundaries)}"`,
    () => 'multipart/mixed; boundary="a"',
    () => "multipart/alternative",
    () => "message/rfc822",
    () => "text/plain; charset=x",
    () => "image/png; name=x",
    () => pieces(random, 14, parameterPieces),
  ])();
}

function noisyField(random: Random): string {
  const addresses = ["From:", "To: ", "Cc: ", "Sender: ", "Reply-To: ", "bcc:"];
  const texts = ["Subject:", "Date: ", "Message-ID: ", "In-Reply-To: ", "Content-ID: ", "Content-MD5: "];
  return random.pick([
    () => random.pick(addresses) + pieces(random, 12, addressPieces),
    () => random.pick(addresses) + pieces(random, 12, addressPieces),
    () =>
      random.pick([...texts, "Content-Description: ", "Content-Location:"]) + pieces(random, 8, textPieces),
    () => `Content-Type: ${noisyType(random)}`,
    () => `content-type: text/plain${pieces(random, 14, parameterPieces)}`,
    () => `Content-Disposition: ${random.pick(["inline", ""])}${pieces(random, 14, parameterPieces)}`,
    () => `Content-Language: ${pieces(random, 5, languagePieces)}`,
    () => `Content-Transfer-Encoding: ${pieces(random, 3, encodingPieces)}`,
    () => random.pick(["MIME-Version: 1.0", "nocolon", " folded", "X : y", ":", "\r", "X:y\r"]),
    () => `--${random.pick(boundaries)}`,
  ])();
}

function noisyBodyLine(random: Random): string {
  const boundary = `--${random.pick(boundaries)}`;
  const partHead = (): string => lines(random, 3, () => noisyField(random));
  return random.pick([
    () => boundary,
    () => `${boundary}--`,
    () => boundary + lineEnd(random) + partHead(),
    () => `${boundary}${lineEnd(random)}Content-Type: ${noisyType(random)}${lineEnd(random)}`,
    () => boundary + random.pick([" ", "-", "x", "--x", "\r"]),
    () => `Content-Type: ${noisyType(random)}${lineEnd(random)}`,
    () => random.pick(["text", "", "-", "--", "a\r"]),
    () => "x".repeat(random.below(200)),
    () => `--${"x".repeat(random.below(200))}`,
  ])();
}

function lines(random: Random, most: number, line: () => string): string {
  return Array.from({ length: random.below(most + 1) }, () => line() + lineEnd(random)).join("");
}

function pieces(random: Random, most: number, from: readonly string[]): string {
  return Array.from({ length: random.below(most + 1) }, () => random.pick(from)).join("");
}

function lineEnd(random: Random): string {
  return random.chance(0.85) ? "\r\n" : "\n";
}
