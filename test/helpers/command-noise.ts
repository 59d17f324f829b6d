/** IMAP commands as a hostile client writes them: valid ones, changed here and there, and plain noise. */
import { createRandom, type Random } from "./random.ts";

/** Valid ones of every kind, so that each rule of the grammar is reached. One char per byte. */
export const validCommands: readonly string[] = [
  "a CAPABILITY",
  "a NOOP",
  "a LOGOUT",
  'a ID ("name" "x" "version" NIL)',
  "a ID NIL",
  "a LOGIN alice secret",
  'a LOGIN "al\\"ice" {6+}\r\nsecret',
  "a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==",
  "a AUTHENTICATE LOGIN =",
  "a ENABLE CONDSTORE QRESYNC",
  "a NAMESPACE",
  'a LIST "" "*"',
  "a LIST {0+}\r\n {4+}\r\nINB%",
  'a LSUB "" %',
  "a STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)",
  "a CREATE box",
  "a DELETE box",
  'a RENAME box "other box"',
  "a SUBSCRIBE box",
  "a UNSUBSCRIBE box",
  "a SELECT INBOX",
  "a SELECT INBOX (CONDSTORE)",
  "a SELECT INBOX (QRESYNC (1 5 1:4294967295 (1:3 1:3)))",
  "a EXAMINE {5+}\r\nINBOX",
  "a CHECK",
  "a UNSELECT",
  "a CLOSE",
  "a EXPUNGE",
  "a UID EXPUNGE 1:*",
  "a FETCH 1:* FULL",
  "a FETCH 1,2:3,*:1 (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE MODSEQ)",
  'a FETCH 1 (BODY.PEEK[1.2.HEADER.FIELDS.NOT (From "x y" {2+}\r\nTo)]<0.100> BODY[TEXT] RFC822.HEADER)',
  "a UID FETCH 1:4294967295 (FLAGS) (CHANGEDSINCE 1 VANISHED)",
  "a SEARCH CHARSET UTF-8 OR (NOT SEEN FROM {2+}\r\n\xc3\xa9) (SINCE 1-Feb-2024 LARGER 10) UID 1:*",
  "a UID SEARCH KEYWORD x UNKEYWORD y HEADER Subject z BODY a TEXT b 1:2 RECENT",
  "a SEARCH RETURN (MIN MAX ALL COUNT SAVE) YOUNGER 60 OLDER 3600 $",
  "a UID SEARCH RETURN () CHARSET UTF-8 MODSEQ 5 SUBJECT {1+}\r\nx",
  "a SORT (REVERSE DATE SUBJECT ARRIVAL) UTF-8 ALL",
  "a UID SORT RETURN (COUNT) (FROM TO CC SIZE) US-ASCII 1:* NOT DELETED",
  "a THREAD REFERENCES UTF-8 ALL",
  "a UID THREAD ORDEREDSUBJECT US-ASCII SINCE 1-Feb-2024",
  "a STORE 1:* +FLAGS.SILENT (\\Seen $Forwarded)",
  "a UID STORE 1 (UNCHANGEDSINCE 5) FLAGS ()",
  "a COPY 1:* Sent",
  "a UID MOVE 1 Sent",
  'a APPEND INBOX (\\Seen) "01-Feb-2024 10:20:30 +0100" {5+}\r\nhello',
  "a IDLE",
  "a STARTTLS",
];

const special = [
  ...'(){}[]<>%*"\\+-=,.: \t\0\r\n\x7f\xff',
  ...[
    "  ",
    "NIL",
    "{0+}\r\n",
    "{3+}\r\nabc",
    "{99999+}\r\n",
    "{5}",
    "{99999999999999999999}",
    '""',
    "()",
    "[]",
  ],
  ...["\\", '\\"', "1:", ":*", "*:*", "0", "-1", "4294967295", "4294967296", "18446744073709551615", "1e9"],
  ...["UID", "BODY[", "BODY.PEEK[1.", "HEADER.FIELDS", "NOT", "OR", "__proto__", "constructor", "toString"],
];

/** Ends with CRLF; whether it is one command is for the reader to find out. */
export function noisyCommand(random: Random): Buffer {
  const text = random.chance(0.1) ? noise(random, 200) : mutated(random);
  return Buffer.from(`${text}\r\n`, "latin1");
}

export function noisyCommands(seed: number, count: number): Buffer[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => noisyCommand(random));
}

function mutated(random: Random): string {
  let text = random.pick(validCommands);
  for (let changes = random.below(5); changes > 0; changes--) text = changed(text, random);
  return text;
}

function changed(text: string, random: Random): string {
  const from = random.below(text.length + 1);
  const to = Math.min(text.length, from + random.below(12));
  const piece = text.slice(from, to);
  const other = random.pick(validCommands);
  return random.pick([
    () => text.slice(0, from) + text.slice(to),
    () => text.slice(0, from) + random.pick(special) + text.slice(to),
    () => text.slice(0, from) + random.pick(special) + text.slice(from),
    () => text.slice(0, from) + piece.repeat(random.below(20)) + text.slice(to),
    () => text.slice(0, from) + other.slice(random.below(other.length)),
    () => `${text} ${other.slice(2)}`,
    () => text.slice(0, from) + noise(random, 8) + text.slice(from),
    () =>
      `${text.slice(0, from)}${random.pick(["(", '"', "1,", "NOT ", "OR ", "BODY[1"]).repeat(random.below(80))}${text.slice(to)}`,
  ])();
}

function noise(random: Random, most: number): string {
  return Array.from({ length: random.below(most) }, () => String.fromCharCode(random.below(256))).join("");
}
