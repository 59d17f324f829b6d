/** Ready-made accounts: one with everything that is odd, and plain ones of any size. */
import type { AccountPlan, MailboxPlan, MessagePlan } from "./filler.ts";
import { oddMails } from "./odd-mail.ts";
import { createRandom, type Random } from "./random.ts";

export interface OddAccountOptions {
  readonly seed?: number;
  /** `/` with listescape allows names with a dot, a tilde first and the like. Default `.`. */
  readonly separator?: "." | "/";
  readonly listEscape?: boolean;
  /** Size of the attachment in the mailbox `Large`; default 0, which leaves it out. */
  readonly largeBytes?: number;
  /** Messages in the mailbox `Many`; default 0, which leaves it out. */
  readonly manyMessages?: number;
}

export interface PlainAccountOptions {
  readonly seed?: number;
  readonly messages: number;
  /** About this size each. */
  readonly sizeBytes: number;
  readonly large?: { readonly count: number; readonly sizeBytes: number };
  /** Default 1: all in the INBOX; otherwise spread over INBOX and `Folder 1` and so on. */
  readonly mailboxes?: number;
}

const systemFlags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"] as const;
const keywords = ["$Forwarded", "$MDNSent", "NonJunk", "Junk", "$label1", "work"] as const;

export function oddAccount(options: OddAccountOptions = {}): AccountPlan {
  const { seed = 1, largeBytes = 0, manyMessages = 0 } = options;
  const mailboxes = [
    mailbox(["INBOX"], 1_234_567_890, () => oddMessages(seed)),
    ...oddNames(options).map((path, index) =>
      mailbox(path, 1_000_000_000 + index * 7, () => someMessages(seed + index, index % 4)),
    ),
    { ...mailbox(["Empty"], 77, () => []), uidNext: 4242 },
    mailbox(["High UIDs"], 4_294_967_294, highMessages),
    mailbox(["Keywords"], 1_111_111_111, keywordMessages),
  ];
  if (largeBytes > 0) mailboxes.push(mailbox(["Large"], 1_300_000_000, () => [largeMessage(7, largeBytes)]));
  if (manyMessages > 0) {
    const many = (): Iterable<MessagePlan> => plainMessages({ seed, messages: manyMessages, sizeBytes: 700 });
    mailboxes.push(mailbox(["Many"], 1_300_000_001, many));
  }
  return {
    mailboxes,
    subscriptions: [["INBOX"], ["Sent"], ["Entwürfe"], ["A&B"], ["Archive", "2019"], ["Gone", "Folder"]],
    specialUse: { Sent: "\\Sent", Entwürfe: "\\Drafts", Trash: "\\Trash", Junk: "\\Junk" },
  };
}

export function plainAccount(options: PlainAccountOptions): AccountPlan {
  const count = options.mailboxes ?? 1;
  const mailboxes = Array.from({ length: count }, (_, index): MailboxPlan => {
    const messages =
      Math.floor(((index + 1) * options.messages) / count) - Math.floor((index * options.messages) / count);
    const own = { ...options, seed: (options.seed ?? 1) + index, messages };
    if (index > 0) delete own.large;
    return mailbox(index === 0 ? ["INBOX"] : [`Folder ${index}`], 1_400_000_000 + index, () =>
      plainMessages(own),
    );
  });
  return { mailboxes, subscriptions: mailboxes.map(({ path }) => path), specialUse: {} };
}

function mailbox(
  path: readonly string[],
  uidValidity: number,
  messages: () => Iterable<MessagePlan>,
): MailboxPlan {
  return { path, uidValidity, messages };
}

function oddNames({ separator = ".", listEscape = false }: OddAccountOptions): string[][] {
  const deep = Array.from({ length: 8 }, (_, level) => `Level ${level}`);
  const names = [
    ["Sent"],
    ["Entwürfe"],
    ["Trash"],
    ["Junk"],
    ["Archive"],
    ["Archive", "2019"],
    ["Archive", "2019", "Größe & Maß"],
    ["No Parent", "Child"],
    ["INBOX", "Child"],
    ["Inbox2"],
    deep,
    ["A&B"],
    ["&"],
    ["日本語", "受信トレイ"],
    ["😀 emoji"],
    ['Say "Hi"'],
    ["100%"],
    ["star*red"],
    ["(brackets) [too] {5}"],
    [" leading"],
    ["trailing "],
    ["CAPITALS"],
    ["capitals"],
    ["x".repeat(150)],
  ];
  if (!listEscape) return names;
  const escaped = [["back\\slash"], ["~tilde"], ["~", "~x"]];
  const otherSeparator = separator === "/" ? [["a.b"], ["a.b", "c.d"], [".hidden"], ["v1.0."]] : [["a/b"]];
  return [...names, ...escaped, ...otherSeparator];
}

/**
 * Every odd message, each with other flags, at UIDs with gaps, with dates from 1993 on. The last ones are
 * \Recent: Dovecot keeps one UID from which on messages are.
 */
function* oddMessages(seed: number): Generator<MessagePlan> {
  const random = createRandom(seed);
  const mails = oddMails(seed);
  let uid = 3;
  for (const [index, { bytes }] of mails.entries()) {
    const recent = index >= mails.length - 5;
    const flags = recent ? [] : someFlags(random);
    yield { uid, bytes, flags, recent, ...someDate(random) };
    uid += 1 + (random.chance(0.3) ? random.below(1000) : 0);
  }
}

function* someMessages(seed: number, count: number): Generator<MessagePlan> {
  const random = createRandom(seed);
  let uid = 0;
  for (let index = 0; index < count; index++) {
    uid += 1 + random.below(500);
    const bytes = plainBytes(random, uid, 400);
    yield { uid, bytes, flags: someFlags(random), ...someDate(random) };
  }
}

function* highMessages(): Generator<MessagePlan> {
  const random = createRandom(99);
  for (const uid of [1, 2_147_483_647, 2_147_483_648, 4_294_967_290]) {
    yield { uid, bytes: plainBytes(random, uid, 200), flags: [], ...someDate(random) };
  }
}

/** As many keywords as a Maildir has room for. */
function* keywordMessages(): Generator<MessagePlan> {
  const random = createRandom(26);
  for (let index = 0; index < 26; index++) {
    const flags = [`Label${index}`, ...(index % 2 ? ["Label0", "\\Seen"] : [])];
    yield {
      uid: 10 + index,
      bytes: plainBytes(random, index, 100),
      flags: [...new Set(flags)],
      ...someDate(random),
    };
  }
}

function* plainMessages(options: Omit<PlainAccountOptions, "mailboxes">): Generator<MessagePlan> {
  const random = createRandom(options.seed ?? 1);
  const { messages, sizeBytes, large } = options;
  const largeEvery = large && large.count > 0 ? Math.max(1, Math.floor(messages / large.count)) : 0;
  let uid = 0;
  let larges = 0;
  for (let index = 0; index < messages; index++) {
    uid += random.chance(0.9) ? 1 : 2 + random.below(20);
    const isLarge = large !== undefined && larges < large.count && index % largeEvery === 0;
    if (isLarge) {
      larges++;
      yield largeMessage(uid, large.sizeBytes);
      continue;
    }
    const bytes = plainBytes(random, uid, sizeBytes);
    const epochSeconds = 1_400_000_000 + index * 600;
    yield { uid, bytes, flags: random.chance(0.8) ? ["\\Seen"] : [], epochSeconds };
  }
}

function someFlags(random: Random): string[] {
  return [...systemFlags, ...keywords].filter(() => random.chance(0.25));
}

function someDate(random: Random): { epochSeconds: number; zoneMinutes: number } {
  return {
    epochSeconds: 726_000_000 + random.below(900_000_000),
    zoneMinutes: random.pick([0, 60, -420, 330, 345, -210, 780]),
  };
}

/** Lines of text, made once and cut from: filling fast matters more here than variety. */
const textPool = Buffer.from(
  Array.from({ length: 2000 }, (_, index) => createRandom(index).words(9)).join("\n"),
  "latin1",
);

function plainBytes(random: Random, uid: number, sizeBytes: number): Buffer {
  const header =
    `Received: from mail.example.org by mx.example.com; Tue, 13 May 2014 16:53:20 +0000\n` +
    `From: ${random.words(1)} <${random.words(1)}@example.org>\nTo: Bob <bob@example.com>\n` +
    `Date: Tue, 13 May 2014 16:53:20 +0000\nSubject: ${random.words(5)}\n` +
    `Message-ID: <${uid}.${random.below(1e9)}@example.org>\n\n`;
  const body: Buffer[] = [];
  let missing = Math.max(sizeBytes - header.length, 1) - 1;
  while (missing > 0) {
    const start = random.below(textPool.length - 1);
    const piece = textPool.subarray(start, start + missing);
    body.push(piece);
    missing -= piece.length;
  }
  return Buffer.concat([Buffer.from(header, "latin1"), ...body, Buffer.from("\n")]);
}

/** A base64 attachment of about `sizeBytes`. */
function largeMessage(uid: number, sizeBytes: number): MessagePlan {
  const header =
    `From: alice@example.org\nTo: bob@example.com\nSubject: large ${uid}\nMIME-Version: 1.0\n` +
    `Content-Type: multipart/mixed; boundary=large\n\n--large\nContent-Type: text/plain\n\nsee attached\n` +
    `--large\nContent-Type: application/zip; name=large.zip\nContent-Transfer-Encoding: base64\n\n`;
  const line = `${Buffer.from(createRandom(uid).words(12)).toString("base64").slice(0, 76)}\n`;
  const lines = Math.ceil(Math.max(sizeBytes - header.length, 0) / line.length);
  const bytes = Buffer.from(`${header}${line.repeat(lines)}--large--\n`, "latin1");
  return { uid, bytes, flags: ["\\Seen"], epochSeconds: 1_500_000_000 + (uid % 1_000_000) };
}
