/** Mail of conversations, as SORT and THREAD get to see them: with answers to nobody, loops, and broken dates. */
import type { SampleMail } from "./odd-mail.ts";
import { createRandom, type Random } from "./random.ts";

export function threadedMails(seed: number, count: number): SampleMail[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, index) => ({
    name: `conversation ${index}`,
    bytes: Buffer.from(message(random, index), "latin1"),
  }));
}

const subjects = [
  "folded\r\n subject",
  "lunch",
  "budget 2026",
  "Gr\xc3\xbc\xc3\x9fe",
  "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
  "a b",
  "",
  "Re:",
  "[x]",
];
const prefixes = [
  "Re: ",
  "RE:",
  "re : ",
  "Fwd: ",
  "Fw: ",
  "FW[2]: ",
  "[list] ",
  "[a] [b] Re: ",
  "Re[3]: ",
  "Re: Re: ",
  " ",
  "AW: ",
  "=?utf-8?q?Re=3A?= ",
];
const suffixes = [" (fwd)", "(FWD)", "  (fwd) (fwd)", " ", "\t"];
const people = [
  "Alice <alice@example.org>",
  "bob@example.com",
  '"Zo\xc3\xab" <zoe@example.net>',
  "=?iso-8859-1?q?J=F6rg?= <joerg@example.de>",
  "Team: carol@example.org, dave@example.org;",
  "Nobody:;",
  "<BOB@example.com>",
  '"Quoted \\" one" <q@example.org>',
  "(comment) eve@example.org (Eve)",
  "",
  "broken",
  "@route.example:user@example.org",
];
const dates = [
  "garbage",
  "",
  "Tue, 1 Jul 2003 10:52:37 +0200",
  "1 Jul 03 10:52 EST",
  "Tue,1 Jul 2003 10:52:37 -0330 (NST)",
  "Tue, 1 Jul 2003 10:52:37 GMT",
  "Tue, 1 Jul 2003 25:61:61 +0000",
  "Tue, 31 Feb 2004 10:52:37 +0000",
  "Tue, 1 Foo 2003 10:52:37 +0200",
  "2003-07-01 10:52:37",
  "Tue, 1 Jul 2003",
  "Tue, 1 Jul 2003 23:59:60 -1200",
  "Tue, 1 Jul 2003 10",
  "Tue, 1 Jul 2003 10:52",
  "1Jul2003 10:52:37 +0000",
  "Tuesday, 1 Jul 2003 10:52:37 +0000",
  "Tue 1 Jul 2003 10:52:37 +0000",
  "Tue, 1 Jul 2003 10:52:37 pm +0000",
  "Tue, 1 Jul 2003 10:52:37 +02:00",
  "Tue, 1 Jul 2003 10:52:37 CEST",
  "Tue, 1 Jul 2003 10:52:37 A",
  "Tue, 1 Jul 2003 10:52:37 PDT",
  "Tue, 1 Jul 2003 10:52:37 J",
  "Tue, 1 Jul 2003 10:52:37 K",
  "Tue, 1 Jul 2003 10:52:37 M",
  "Tue, 1 Jul 2003 10:52:37 N",
  "Tue, 1 Jul 2003 10:52:37 UT",
  "Tue, 1 Jul 2003 10:52:37 HST",
  "Tue, 1 Jul 2003 10:52:37 BST",
  "Tue, 1 Jul 1823 10:52:37 +0200",
  "Tue, 1 July 2003 10:52:37 Z",
  "Tue, 01 Jul 2003 10:52:37",
  "Tue, 1 Jul 2003 10.52.37 +0200",
  "Tue, 1 Jul 2003 1:2:3 +9999",
  "Tue, 1 Jul 70 10:52:37 +0200",
  "Tue, 1 Jul 69 10:52:37 +0200",
  "Tue, 1 Jul 103 10:52:37 +0200",
  "(c) Tue (c) , 1 (c) Jul 2003 10:52:37 +0200 (c)",
];

function message(random: Random, index: number): string {
  const lines: string[] = [];
  const add = (name: string, value: string): void => void lines.push(`${name}: ${value}`);
  if (random.chance(0.95)) add("Subject", subject(random));
  if (random.chance(0.95)) add("From", random.pick(people));
  if (random.chance(0.9))
    add("To", Array.from({ length: 1 + random.below(2) }, () => random.pick(people)).join(", "));
  if (random.chance(0.4)) add("Cc", random.pick(people));
  if (random.chance(0.9)) add("Date", random.chance(0.3) ? oddDate(random) : plainDate(random));
  if (random.chance(0.95)) add("Message-ID", random.chance(0.05) ? someId(random, index) : idOf(index));
  if (random.chance(0.6)) {
    const ids = Array.from({ length: 1 + random.below(4) }, () => someId(random, index));
    add("References", ids.join(random.chance(0.1) ? "\r\n " : " "));
  }
  if (random.chance(0.4))
    add(
      "In-Reply-To",
      random.chance(0.2) ? `your mail of today ${someId(random, index)}` : someId(random, index),
    );
  return `${lines.join("\r\n")}\r\n\r\n${random.words(5)}\r\n`;
}

function subject(random: Random): string {
  let text = random.pick(subjects);
  while (random.chance(0.45)) text = random.pick(prefixes) + text;
  if (random.chance(0.2)) text += random.pick(suffixes);
  return random.chance(0.1) ? `[Fwd: ${text}]` : text;
}

/** No two are likely to be at the same second. */
function oddDate(random: Random): string {
  const clock = `1${random.below(10)}:${10 + random.below(50)}:${10 + random.below(50)}`;
  return random.pick(dates).replace("10:52:37", clock);
}

function plainDate(random: Random): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `Mon, ${1 + random.below(28)} Jun 2020 ${two(random.below(24))}:${two(random.below(60))}:${two(random.below(60))} ${random.pick(["+0000", "-0500", "+0930"])}`;
}

const idOf = (index: number): string => `<${index}.mail@example.org>`;

/** Mostly of an earlier message near by; now and then of a later one, of one that never came, or none at all. */
function someId(random: Random, index: number): string {
  const kind = random.below(12);
  if (kind === 0) return `<gone${random.below(5)}@example.org>`;
  if (kind === 1) return idOf(index + random.below(5));
  if (kind === 2) return random.pick(["<no-at>", "broken", "<>", '<"quo ted"@x>', "<a@b", idOf(0)]);
  return idOf(Math.max(0, index - 1 - random.below(6)));
}
