/** Commands that are put to two servers over the same mail: each is text, or pieces with literals in between. */
import type { CommandPiece } from "./imap-client.ts";
import { createRandom, type Random } from "./random.ts";

export type Command = readonly CommandPiece[];

const text = (...commands: string[]): Command[] => commands.map((command) => [command]);

/** Of one selected mailbox with messages 1..count. */
export function mailboxCommands(count: number, seed: number): Command[] {
  const random = createRandom(seed);
  return [
    ...fetches(count, random),
    ...searches(count),
    ...combined(count, random),
    ...sorts(),
    ...threads(),
  ];
}

/** For a mailbox of which nothing is known yet: what the server behind is asked, and put together with what is here. */
export function textCommands(seed: number): Command[] {
  const random = createRandom(seed);
  return [
    ...text(
      "SEARCH BODY meeting",
      "UID SORT (SUBJECT) UTF-8 ALL",
      "UID THREAD REFERENCES UTF-8 ALL",
      "UID SEARCH OR OLDER 600000000 TEXT lunch",
      "UID SEARCH NOT (YOUNGER 600000000 BODY meeting) UNSEEN",
      "SEARCH RETURN (SAVE) SUBJECT lunch",
      "UID SORT (REVERSE DATE) UTF-8 $",
      "SORT RETURN (MIN MAX COUNT) (FROM) UTF-8 $",
      "THREAD REFS UTF-8 SUBJECT budget",
      "UID SEARCH OR MODSEQ 1 BODY meeting",
    ),
    ...combined(100, random).slice(0, 20),
    ...sorts().slice(0, 22),
  ];
}

const items = [
  "FLAGS",
  "INTERNALDATE",
  "RFC822.SIZE",
  "UID",
  "ENVELOPE",
  "BODY",
  "BODYSTRUCTURE",
  "ALL",
  "FAST",
  "FULL",
  "RFC822.HEADER",
  "BODY.PEEK[HEADER]",
  "BODY.PEEK[HEADER.FIELDS (Subject From X-None)]",
  "BODY.PEEK[HEADER.FIELDS.NOT (Received Subject)]",
  "BODY.PEEK[TEXT]<0.100>",
  "BODY.PEEK[]<10.500>",
  "BODY.PEEK[1]",
  "BODY.PEEK[1.MIME]",
  "BODY.PEEK[1.1]",
  "BODY.PEEK[2]",
  "BODY.PEEK[2.MIME]",
  "BODY.PEEK[1.HEADER]",
  "BODY.PEEK[2.TEXT]",
  "BODY.PEEK[2.1.HEADER.FIELDS (Subject)]",
  "(UID FLAGS INTERNALDATE ENVELOPE)",
  "(BODY.PEEK[TEXT] BODYSTRUCTURE)",
];

function fetches(count: number, random: Random): Command[] {
  const whole = items.flatMap((item) => text(`FETCH 1:* ${item}`));
  const some = Array.from({ length: 60 }, () => {
    const one = 1 + random.below(count);
    const set = random.pick([`${one}`, `${one}:*`, `*:${one}`, `${one},${1 + random.below(count)}`, "*"]);
    return [`${random.chance(0.5) ? "UID " : ""}FETCH ${set} ${random.pick(items)}`];
  });
  const corners = text(
    `FETCH ${count + 1} FLAGS`,
    `FETCH 1:${count + 1} UID`,
    `UID FETCH ${count + 100}:* FLAGS`,
    `UID FETCH ${count + 100} FLAGS`,
    "FETCH 0 FLAGS",
    "FETCH 1 NONSENSE",
    "FETCH 1 BODY[NONSENSE]",
    "FETCH 1 BODY[0]",
    "FETCH 1 ()",
    "FETCH 1,2,3,2,1 UID",
    "FETCH 3:1,2:2 UID",
  );
  return [...whole, ...some, ...corners];
}

const words =
  "alice bob@example.com example lunch budget 2026 grü Grüße köln 日本 jörg JÖRG zoë strasse straße team re: fwd text/plain boundary invoice meeting returned a e ! =? \\\\ [x] (fwd) charset multipart";
const flags =
  "ANSWERED DELETED DRAFT FLAGGED SEEN RECENT UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN NEW OLD ALL";
const dates = [
  "1-Jan-2001",
  "5-Feb-2018",
  "10-Sep-2001",
  '"1-Jul-2003"',
  "28-Feb-2004",
  "01-Jun-2020",
  "15-Jun-2020",
];

/** A literal where the text is not ASCII. */
const value = (word: string): CommandPiece[] =>
  /^[\x21-\x7e]+$/.test(word) ? [`"${word.replace(/"/g, '\\"')}"`] : [Buffer.from(word)];

function searches(count: number): Command[] {
  const found: Command[] = [];
  for (const key of flags.split(" ")) found.push([`SEARCH ${key}`], [`UID SEARCH NOT ${key}`]);
  for (const key of ["SUBJECT", "FROM", "TO", "CC", "BCC", "BODY", "TEXT"]) {
    for (const word of words.split(" ")) found.push([`SEARCH CHARSET UTF-8 ${key} `, ...value(word)]);
  }
  for (const field of ["Message-ID", "References", "Content-Type", "X-None", "Date", "Received"]) {
    for (const word of ["", "example", "utf", "<", "2018"])
      found.push([`SEARCH HEADER ${field} `, `"${word}"`]);
  }
  for (const key of ["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"]) {
    for (const date of dates) found.push([`SEARCH ${key} ${date}`]);
  }
  for (const size of [0, 200, 500, 2_000, 4_294_967_295])
    found.push([`SEARCH LARGER ${size}`], [`SEARCH SMALLER ${size}`]);
  for (const set of ["1", "*", "1:*", "*:1", "5:3", `${count}:${count + 5}`, "2,4,6:8", "7:*,1"])
    found.push([`SEARCH ${set}`], [`SEARCH UID ${set}`], [`UID SEARCH NOT ${set}`]);
  for (const seconds of [1, 1_000, 100_000_000, 600_000_000, 4_294_967_295])
    found.push([`SEARCH OLDER ${seconds}`], [`SEARCH YOUNGER ${seconds}`]);
  for (const name of ["$Label1", "$label1", "Work", "NonJunk"])
    found.push([`SEARCH KEYWORD ${name}`], [`SEARCH UNKEYWORD ${name}`]);
  return [
    ...found,
    ...text(
      "SEARCH RETURN () ALL",
      "SEARCH RETURN (MIN MAX COUNT ALL) SEEN",
      "UID SEARCH RETURN (MIN) TEXT nothing-has-this",
      "UID SEARCH RETURN (COUNT ALL) 2:9,11",
      "SEARCH RETURN (SAVE) 3:8",
      "SEARCH $",
      "UID SEARCH RETURN (ALL) $ NOT 5",
      "SEARCH NOT $",
      "SEARCH OR $ 1",
      "FETCH $ (UID FLAGS)",
      "UID FETCH $ UID",
      "SEARCH RETURN (SAVE MIN) $",
      "SEARCH UID $",
      "SEARCH RETURN (SAVE MIN MAX) 2:9",
      "SEARCH $",
      "SEARCH RETURN (SAVE ALL COUNT) 4:5",
      "SORT RETURN (ALL) (SIZE) UTF-8 $",
      "SEARCH RETURN (SAVE) CHARSET X-NONE 1",
      "SEARCH $",
      "SEARCH RETURN (NONSENSE) ALL",
      "SEARCH CHARSET X-NONE ALL",
      "SEARCH CHARSET US-ASCII ALL",
      "SEARCH NONSENSE",
      "SEARCH",
      "SEARCH OR SEEN",
      "SEARCH (SEEN",
      "SEARCH BEFORE yesterday",
      "SEARCH OLDER 0",
      "SEARCH 0",
      "SEARCH ((((SEEN))))",
      "SEARCH NOT NOT NOT SEEN",
      "SEARCH MODSEQ 1",
      "SEARCH NOT MODSEQ 1",
    ),
  ];
}

/** Keys put together at random. */
function combined(count: number, random: Random): Command[] {
  const leaf = (): string =>
    random.pick([
      () =>
        random.pick(flags.split(" ").filter((flag) => flag !== "RECENT" && flag !== "NEW" && flag !== "OLD")),
      () => `SUBJECT ${random.pick(["lunch", "re", "budget"])}`,
      () => `FROM ${random.pick(["alice", "bob", "example"])}`,
      () => `${random.pick(["SINCE", "SENTBEFORE", "ON"])} ${random.pick(dates)}`,
      () => `LARGER ${random.below(3_000)}`,
      () => `BODY ${random.pick(["meeting", "a"])}`,
      () => `${1 + random.below(count)}:*`,
      () => `UID 1:${1 + random.below(count)}`,
    ])();
  const key = (depth: number): string => {
    const kind = depth > 3 ? 0 : random.below(5);
    if (kind === 1) return `NOT ${key(depth + 1)}`;
    if (kind === 2) return `OR ${key(depth + 1)} ${key(depth + 1)}`;
    if (kind === 3) return `(${key(depth + 1)} ${key(depth + 1)})`;
    return leaf();
  };
  return Array.from({ length: 60 }, () => [`${random.chance(0.5) ? "UID " : ""}SEARCH ${key(0)} ${key(0)}`]);
}

const sortKeys = "ARRIVAL CC DATE DISPLAYFROM DISPLAYTO FROM SIZE SUBJECT TO".split(" ");

function sorts(): Command[] {
  const single = sortKeys.flatMap((key) => [`(${key})`, `(REVERSE ${key})`]);
  const several = [
    "(SUBJECT DATE)",
    "(FROM REVERSE SIZE)",
    "(REVERSE REVERSE TO CC)",
    "(SIZE SUBJECT FROM DATE)",
  ];
  return [
    ...[...single, ...several].flatMap((keys) => text(`UID SORT ${keys} UTF-8 ALL`)),
    ...text(
      "SORT (DATE) UTF-8 SEEN",
      "SORT (SUBJECT) US-ASCII SUBJECT lunch",
      "UID SORT RETURN (MIN MAX ALL COUNT) (REVERSE DATE) UTF-8 1:20",
      "SORT RETURN () (SIZE) UTF-8 TEXT nothing-has-this",
      "SORT () UTF-8 ALL",
      "SORT (NONSENSE) UTF-8 ALL",
      "SORT (SUBJECT REVERSE) UTF-8 ALL",
      "SORT (DATE) X-NONE ALL",
      "SORT (DATE) UTF-8",
    ),
  ];
}

function threads(): Command[] {
  return ["ORDEREDSUBJECT", "REFERENCES", "REFS"]
    .flatMap((algorithm) =>
      text(
        `UID THREAD ${algorithm} UTF-8 ALL`,
        `THREAD ${algorithm} UTF-8 SUBJECT lunch`,
        `THREAD ${algorithm} US-ASCII 5:40`,
        `THREAD ${algorithm} UTF-8 TEXT nothing-has-this`,
        `THREAD ${algorithm} X-NONE ALL`,
      ),
    )
    .concat(text("THREAD NONSENSE UTF-8 ALL", "THREAD REFS UTF-8"));
}

/** Without a mailbox selected. */
export function nameCommands(names: readonly string[], separator: string): Command[] {
  const patterns = [
    "*",
    "%",
    "INBOX",
    "inbox",
    "in%",
    `%${separator}%`,
    `*${separator}*`,
    "A*",
    "*b",
    "",
    "Archive/%",
    "*.*",
    "%a%",
    "&*",
  ];
  const references = ["", "A", `Archive${separator}`, "INBOX"];
  return [
    ...references.flatMap((reference) =>
      patterns.flatMap((pattern) =>
        text(`LIST "${reference}" "${pattern}"`, `LSUB "${reference}" "${pattern}"`),
      ),
    ),
    ...names.map((name) => [`STATUS "${name}" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)`]),
    ...text(
      "STATUS nowhere (MESSAGES)",
      "STATUS INBOX (NONSENSE)",
      "STATUS INBOX ()",
      "NAMESPACE",
      "LIST",
      'LIST "" (',
      "EXAMINE nowhere",
    ),
  ];
}
