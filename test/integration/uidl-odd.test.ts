/** Old POP3 servers that show other messages, or show them otherwise, than the IMAP server beside them. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import { alikeBytes, alikeMessages } from "../helpers/alike-mail.ts";
import {
  type AlteringPop3,
  type AlteringPop3Options,
  altered,
  type ServedMessage,
  startAlteringPop3,
} from "../helpers/altering-pop3.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount, type MailboxPlan, type MessagePlan } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { connectClient } from "../helpers/line-client.ts";
import {
  type CliResult,
  type Mailferry,
  plainListeners,
  runCli,
  startMailferry,
} from "../helpers/mailferry.ts";
import { openMaildrop, type SeenMessage, seenMaildrop } from "../helpers/pop3-maildrop.ts";
import { createRandom } from "../helpers/random.ts";

const user = "alice";
const imapValidity = 1_234_567_890;

async function startInFrontOf(
  legacy: Dovecot,
  pop3Port: number,
  pop3: Readonly<Record<string, unknown>> = {},
): Promise<Mailferry> {
  const entry = { host: legacy.host, port: pop3Port, tls: "none" };
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners, pop3 },
    legacyExtra: { pop3: entry },
  });
  onTestFinished(() => mailferry.close());
  return mailferry;
}

const cli = (mailferry: Mailferry, command: string): Promise<CliResult> =>
  runCli([command, "-c", mailferry.configFile, user]);

async function expectComplete(mailferry: Mailferry): Promise<void> {
  const { stdout, code } = await cli(mailferry, "migrate");
  expect(stdout).toContain(": complete: ");
  expect(code).toBe(0);
}

async function expectEqual(mailferry: Mailferry, count: number): Promise<void> {
  const { stdout, code } = await cli(mailferry, "verify");
  expect(stdout).toContain(`POP3: ${count} messages there, ${count} here, 0 differences`);
  expect(code).toBe(0);
}

type Line = readonly [number: number, sizeBytes: number | undefined, uidl: string];

/** LIST and UIDL. */
async function listed(port: number): Promise<Line[]> {
  const session = await openMaildrop(port, user);
  const [sizes, uidls] = [await session.list(), await session.uidls()];
  await session.quit();
  return [...uidls].map(([number, uidl]) => [number, sizes.get(number), uidl]);
}

async function retrieved(port: number): Promise<Buffer[]> {
  const session = await openMaildrop(port, user);
  const numbers = [...(await session.list()).keys()];
  const messages = await Promise.all(numbers.map((number) => retrieve(session, number)));
  await session.quit();
  return messages;
}

async function retrieve(session: Pop3Session, number: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await session.retrieve(number, (piece) => void pieces.push(Buffer.from(piece)));
  return Buffer.concat(pieces);
}

const mailbox = (name: string, messages: MailboxPlan["messages"]): MailboxPlan => ({
  path: [name],
  uidValidity: imapValidity,
  messages,
});

describe("a maildrop of three mailboxes", () => {
  const names = ["INBOX", "Sent", "Lists"] as const;
  const each = 120;

  /** The same UIDs in each; every fifth message is in all three, to the last byte. */
  function* messagesOf(name: (typeof names)[number]): Generator<MessagePlan> {
    for (const [index, message] of [...alikeMessages(each)].entries())
      yield {
        ...message,
        bytes: alikeBytes(names.indexOf(name) * each + index),
        // A file name is a UIDL, too.
        epochSeconds: message.epochSeconds + names.indexOf(name),
      };
  }

  /** POP3's INBOX is virtual; the real ones are where POP3 clients cannot see them. */
  async function startMerging(format: string): Promise<Dovecot> {
    const legacy = await startDovecot({
      users: [user],
      started: false,
      extraConfig: `
protocol pop3 {
  mail_plugins = virtual
  pop3_uidl_format = ${format}
  namespace inbox {
    location = virtual:~/virtual
  }
  namespace real {
    prefix = real.
    separator = .
    location = maildir:~/Maildir:INBOX=~/Maildir
    hidden = yes
    list = no
  }
}
`,
    });
    onTestFinished(() => legacy.close());
    await fillAccount(legacy, user, {
      mailboxes: names.map((name) => mailbox(name, () => messagesOf(name))),
      subscriptions: [],
      specialUse: {},
    });
    const folder = join(legacy.root, "mail", user, "virtual", "INBOX");
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, "dovecot-virtual"),
      `${names.map((name) => `real.${name}\n`).join("")}  all\n`,
    );
    await legacy.start();
    return legacy;
  }

  async function startMigrated(format: string): Promise<{ legacy: Dovecot; mailferry: Mailferry }> {
    const legacy = await startMerging(format);
    const mailferry = await startInFrontOf(legacy, legacy.ports.pop3, { mailboxes: "all" });
    const straight = await seenMaildrop(legacy.ports.pop3, user);
    expect(straight).toHaveLength(names.length * each);
    expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
    await expectComplete(mailferry);
    expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
    await expectEqual(mailferry, straight.length);
    return { legacy, mailferry };
  }

  /** Deletes through Mailferry; what is left is the same on both sides. */
  async function expectDeleted(
    { legacy, mailferry }: { legacy: Dovecot; mailferry: Mailferry },
    isChosen: (message: SeenMessage, isUnique: boolean) => boolean,
  ): Promise<void> {
    const straight = await seenMaildrop(legacy.ports.pop3, user);
    const isUnique = ({ digest }: SeenMessage): boolean =>
      straight.filter((message) => message.digest === digest).length === 1;
    const session = await openMaildrop(mailferry.port("pop3"), user);
    const gone = straight.filter((message) => isChosen(message, isUnique(message)));
    await Promise.all(gone.map(({ number }) => session.remove(number)));
    await session.quit();
    const left = straight
      .filter((message) => !gone.includes(message))
      .map((message, index) => ({ ...message, number: index + 1 }));
    expect(await seenMaildrop(legacy.ports.pop3, user)).toEqual(left);
    expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(left);
  }

  it.each(["%08Xu%08Xv", "%g"])("with the UIDL format %s", async (format) => {
    const servers = await startMigrated(format);
    // The order is that of the dates, which takes turns between the mailboxes.
    await expectDeleted(servers, ({ number }, isUnique) => isUnique && number % 10 < 3);
    const client = await servers.legacy.client(user);
    for (const name of names) expect(await countOf(client, name)).toBeLessThan(each - 20);
  });

  // Equal messages are matched in the order of IMAP, mailbox after mailbox; the server shows them in another one.
  it("deletes the one of several equal messages that the client has named", async () => {
    await expectDeleted(await startMigrated("%g"), ({ number }, isUnique) => !isUnique && number < 6);
  });
});

async function countOf(client: ImapClient, name: string): Promise<number> {
  const { untagged } = await client.ok(`STATUS ${name} (MESSAGES)`);
  return Number(/MESSAGES (\d+)/.exec(untagged.join("\n"))?.[1]);
}

const epoch = 1_600_000_000;

interface Pair {
  readonly legacy: Dovecot;
  readonly pop3: AlteringPop3;
}

interface Sides {
  /** By IMAP, in its order. */
  readonly imap: readonly Buffer[];
  readonly pop3: readonly ServedMessage[];
}

async function startPair({ imap, pop3 }: Sides, options: AlteringPop3Options = {}): Promise<Pair> {
  const legacy = await startDovecot({ users: [user], protocols: ["imap"], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, {
    mailboxes: [
      mailbox("INBOX", () =>
        imap.map((bytes, index) => ({ uid: index + 3, bytes, flags: [], epochSeconds: epoch + index })),
      ),
    ],
    subscriptions: [],
    specialUse: {},
  });
  await legacy.start();
  const server = await startAlteringPop3(pop3, options);
  onTestFinished(() => server.close());
  return { legacy, pop3: server };
}

const startBeside = (
  { legacy, pop3 }: Pair,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<Mailferry> => startInFrontOf(legacy, pop3.port, settings);

/** Behind fields that old servers fold in their own way. */
function oldMail(index: number): Buffer {
  const received =
    "Received: from mx1.example.org (mx1.example.org [192.0.2.1])\r\n\tby mx2.example.org with ESMTP id 4711;" +
    "\r\n\tThu, 1 Oct 2020 10:00:00 +0200 (CEST)\r\n" +
    "To: alice@example.org,\r\n bob@example.org, =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\n";
  return Buffer.concat([Buffer.from(received), alikeBytes(index)]);
}

/** Of every kind that servers make, and that a line of dovecot-uidlist must bear. */
function served(bytes: Buffer, index: number): ServedMessage {
  const hash = createHash("md5").update(String(index)).digest("hex");
  return { uidl: ["", '!P:"', "<a@b>~", "UID"][index % 4] + hash, bytes };
}

/** `count` messages, some of them equal; POP3 has another order, and not the last three. */
function shuffledMail(count: number): Sides {
  const imap = Array.from({ length: count }, (_, index) => oldMail(index));
  const extra = [1, 2, 3].map((index) => Buffer.from(`Subject: by IMAP only ${index}\r\n\r\ntext\r\n`));
  return { imap: [...imap, ...extra], pop3: shuffled(imap).map(served) };
}

function shuffled<T>(items: readonly T[]): T[] {
  const random = createRandom(7);
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

describe("an old server that alters headers", () => {
  it("keeps UIDLs, order and sizes of 1,000 messages", async () => {
    const pair = await startPair(shuffledMail(1_000));
    const straight = await listed(pair.pop3.port);
    expect(new Set(straight.map(([, , uidl]) => uidl)).size).toBe(1_000);
    const mailferry = await startBeside(pair);
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    await expectComplete(mailferry);
    await expectEqual(mailferry, 1_000);
    await mailferry.restart();
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    // As IMAP has them: each is the message that the old server shows under that number.
    expect(await retrieved(mailferry.port("pop3"))).toEqual(pair.pop3.messages.map(({ bytes }) => bytes));
  });

  it("is matched without TOP, too", async () => {
    const pair = await startPair(shuffledMail(200), { capabilities: ["UIDL", "USER"] });
    const straight = await listed(pair.pop3.port);
    const mailferry = await startBeside(pair);
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    await expectComplete(mailferry);
    await expectEqual(mailferry, 200);
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
  });

  it("may give one UIDL to equal messages", async () => {
    const { imap, pop3 } = shuffledMail(200);
    const hash = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");
    const doubled = pop3.map(({ bytes }) => ({ uidl: hash(bytes), bytes }));
    const pair = await startPair({ imap, pop3: doubled });
    const straight = await listed(pair.pop3.port);
    expect(new Set(straight.map(([, , uidl]) => uidl)).size).toBeLessThan(170);
    const mailferry = await startBeside(pair);
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    await expectComplete(mailferry);
    await expectEqual(mailferry, 200);
    await mailferry.restart();
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    const uidls = straight.map(([, , uidl]) => uidl);
    pair.pop3.messages.splice(
      uidls.findIndex((uidl, index) => uidls.indexOf(uidl) < index),
      1,
    );
    expect(await listed(mailferry.port("pop3"))).toEqual(await listed(pair.pop3.port));
  });

  it.each([
    ["gives other UIDLs in each session", (index: number, session: number) => `${session}-${index}`],
    ["counts the messages of each session", (index: number) => String(index + 1)],
  ])("and %s, deletes what the client has deleted", async (_, uidlOf) => {
    const sides = shuffledMail(20);
    const pair = await startPair(sides, { uidlOf });
    const mailferry = await startBeside(pair);
    const session = await openMaildrop(mailferry.port("pop3"), user);
    expect((await session.list()).size).toBe(20);
    // Another client deletes the first one meanwhile: those behind it move up.
    const [first, , third] = pair.pop3.messages;
    if (!first || !third) throw new Error("20 messages");
    pair.pop3.messages.splice(0, 1);
    const client = await pair.legacy.client(user);
    await client.ok("SELECT INBOX");
    await client.ok(`STORE ${sides.imap.indexOf(first.bytes) + 1} +FLAGS (\\Deleted)`);
    await client.ok("EXPUNGE");
    await session.remove(3);
    await session.quit();
    expect(pair.pop3.messages).toHaveLength(19);
    await client.ok("NOOP");
    const { untagged } = await client.ok("FETCH 1:* BODY[]");
    const left = untagged.map((response) => textOf(fetchItems(response)?.get("BODY[]")));
    // Of equal messages, whichever.
    const gone = new Set([first.bytes, third.bytes]);
    const expected = sides.imap.filter((bytes) => !gone.has(bytes)).map((bytes) => bytes.toString("latin1"));
    expect(left.sort()).toEqual(expected.sort());
  });

  it("is asked about a new message alone", async () => {
    const pair = await startPair(shuffledMail(200));
    const mailferry = await startBeside(pair);
    await listed(mailferry.port("pop3"));
    await expectComplete(mailferry);
    await mailferry.restart();
    pair.pop3.forget();
    await listed(mailferry.port("pop3"));
    expect(asked(pair.pop3)).toEqual({ LIST: 1, UIDL: 1, TOP: 0, RETR: 0 });

    const client = await pair.legacy.client(user);
    await client.ok("APPEND INBOX ", oldMail(1_003));
    pair.pop3.messages.push(served(oldMail(1_003), 1_003));
    const straight = await listed(pair.pop3.port);
    pair.pop3.forget();
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    expect(asked(pair.pop3)).toEqual({ LIST: 1, UIDL: 1, TOP: 1, RETR: 0 });
    expect((await retrieved(mailferry.port("pop3"))).at(-1)).toEqual(oldMail(1_003));
    expect(pair.pop3.count("RETR")).toBe(0);
    await expectComplete(mailferry);
    await expectEqual(mailferry, 201);
  });

  it("is not needed once all is matched", async () => {
    const pair = await startPair(shuffledMail(200));
    const straight = await listed(pair.pop3.port);
    const mailferry = await startBeside(pair);
    await listed(mailferry.port("pop3"));
    await expectComplete(mailferry);
    await pair.pop3.close();
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    await mailferry.restart();
    expect(await listed(mailferry.port("pop3"))).toEqual(straight);
    expect(await retrieved(mailferry.port("pop3"))).toEqual(pair.pop3.messages.map(({ bytes }) => bytes));
  });

  it("may say that the maildrop is in use, before and after all is matched", async () => {
    const pair = await startPair(shuffledMail(20));
    const mailferry = await startBeside(pair);
    pair.pop3.refusal = "-ERR [IN-USE] somebody has it";
    expect(await loginAnswer(mailferry)).toMatch(/^-ERR \[IN-USE\] /);
    pair.pop3.refusal = undefined;
    expect(await listed(mailferry.port("pop3"))).toHaveLength(20);
    await expectComplete(mailferry);
    pair.pop3.refusal = "-ERR [IN-USE] somebody has it";
    expect(await loginAnswer(mailferry)).toMatch(/^-ERR \[IN-USE\] /);
  });

  it("is quoted with its code once", async () => {
    const pair = await startPair(shuffledMail(20));
    const mailferry = await startBeside(pair);
    pair.pop3.refusal = "-ERR [IN-USE] somebody has it";
    expect(await loginAnswer(mailferry)).toBe("-ERR [IN-USE] somebody has it");
  });

  it("may give one UIDL to messages with equal headers, and lose the first of them", async () => {
    const imap = Array.from({ length: 60 }, (_, index) => oldMail(index));
    const hash = (bytes: Buffer): string =>
      createHash("md5")
        .update(bytes.subarray(0, bytes.indexOf("\r\n\r\n")))
        .digest("hex");
    const pair = await startPair({ imap, pop3: imap.map((bytes) => ({ uidl: hash(bytes), bytes })) });
    const mailferry = await startBeside(pair);
    const texts = (): readonly Buffer[] => pair.pop3.messages.map(({ bytes }) => bytes);
    await listed(mailferry.port("pop3"));
    await expectComplete(mailferry);
    expect(await retrieved(mailferry.port("pop3"))).toEqual(texts());
    const client = await pair.legacy.client(user);
    for (const command of ["SELECT INBOX", "STORE 4 +FLAGS.SILENT (\\Deleted)", "EXPUNGE"])
      await client.ok(command);
    pair.pop3.messages.splice(3, 1);
    expect(await retrieved(mailferry.port("pop3"))).toEqual(texts());
  });

  it("may have UIDLs that look like UIDs and are none", async () => {
    const { imap, pop3 } = shuffledMail(200);
    const numbered = pop3.map(({ bytes }, index) => ({ uidl: String(index + 3), bytes }));
    const pair = await startPair({ imap: imap.slice(0, 200), pop3: numbered });
    const straight = await seenMaildrop(pair.pop3.port, user);
    const mailferry = await startBeside(pair);
    expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  });

  it("may have no UIDL, and serves its clients all the same", async () => {
    const sides = shuffledMail(20);
    const pair = await startPair(sides, { capabilities: ["TOP", "USER"] });
    const mailferry = await startBeside(pair);
    const session = await openMaildrop(mailferry.port("pop3"), user);
    const sizes = await session.list();
    expect(sizes.size).toBe(20);
    await expect(session.uidls()).rejects.toMatchObject({ code: "CANNOT" });
    const pieces: Buffer[] = [];
    await session.retrieve(3, (piece) => void pieces.push(Buffer.from(piece)) as undefined);
    expect(sides.imap).toContainEqual(Buffer.concat(pieces));
    await session.quit();
    const { configFile } = mailferry;
    expect((await runCli(["migrate", "-c", configFile, user])).stdout).toContain("complete");
    expect((await runCli(["cutover", "-c", configFile, user])).stdout).toContain("local");
    const after = await listed(mailferry.port("pop3"));
    expect(after.slice(0, 20).map(([, sizeBytes]) => sizeBytes)).toEqual([...sizes.values()]);
  });

  it("may have no TOP, and hang up on who asks for it again and again", async () => {
    const pair = await startPair(shuffledMail(200), { capabilities: ["UIDL", "USER"], patience: 20 });
    const mailferry = await startBeside(pair);
    await listed(mailferry.port("pop3"));
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user], { timeoutMs: 5_000 });
    expect(migrated.code).toBe(0);
  });

  it("is matched when a client has left the maildrop", async () => {
    const mailferry = await startBeside(await startPair(shuffledMail(200)));
    const session = await openMaildrop(mailferry.port("pop3"), user);
    const leaving = delay(3_000).then(() => session.quit());
    await expectComplete(mailferry).finally(() => leaving);
  });
});

describe("messages that POP3 alone shows", () => {
  /** Three like no other, and two whose headers are those of others. */
  function withStrangers(count: number): Sides & { readonly strange: readonly string[] } {
    const { imap, pop3 } = shuffledMail(count - 5);
    const digest = oldMail(3).toString("latin1");
    const texts = [1, 2, 3].map((index) => `Subject: by POP3 only ${index}\r\n\r\ntext\r\n`);
    const others = [4, 5].map((index) => digest.replace("00000003", `other${index}`));
    const strangers = [...texts, ...others].map((text, index) => ({
      uidl: `stranger${index}`,
      bytes: Buffer.from(text, "latin1"),
    }));
    const strange = strangers.map(({ uidl }) => uidl);
    return { imap, pop3: shuffled([...pop3, ...strangers]), strange };
  }

  it("are shown and served, and named to people", async () => {
    const { strange, ...sides } = withStrangers(1_000);
    const pair = await startPair(sides);
    const straight = await seenMaildrop(pair.pop3.port, user);
    const lines = await listed(pair.pop3.port);
    const mailferry = await startBeside(pair);
    expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
    expect(await listed(mailferry.port("pop3"))).toEqual(lines);
    const migrated = await cli(mailferry, "migrate");
    expect(migrated.stdout).toContain(": INCOMPLETE: ");
    expect(migrated.code).toBe(1);

    const status = await cli(mailferry, "status");
    expect(status.stdout).toContain("POP3: 995 of 1000 messages of the maildrop are known");
    const reason = "no message that IMAP shows is like it";
    const named = [...status.stdout.matchAll(/^POP3 message with the UIDL (\S+): (.*)$/gm)];
    expect(named.map(([, uidl]) => uidl).sort()).toEqual(strange);
    expect(new Set(named.map(([, , why]) => why))).toEqual(new Set([reason]));
    const verified = await cli(mailferry, "verify");
    expect(verified.stdout).toContain("POP3: 1000 messages there, 1000 here, 5 differences");
    const differing = [...verified.stdout.matchAll(/^POP3 message \d+ \(UIDL (\S+)\): (.*)$/gm)];
    expect(differing.map(([, uidl]) => uidl).sort()).toEqual(strange);
    expect(new Set(differing.map(([, , why]) => why))).toEqual(new Set([reason]));
    expect(verified.code).toBe(1);

    expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
    await mailferry.restart();
    expect(await listed(mailferry.port("pop3"))).toEqual(lines);

    const session = await openMaildrop(mailferry.port("pop3"), user);
    for (const { number } of straight.filter(({ uidl }) => strange.includes(uidl)))
      await session.remove(number);
    await session.quit();
    expect(pair.pop3.messages).toHaveLength(995);
    expect(await listed(mailferry.port("pop3"))).toEqual(await listed(pair.pop3.port));
    await expectComplete(mailferry);
    await expectEqual(mailferry, 995);
  });

  it("are not taken for deleted while the old server is away", async () => {
    const { strange: _, ...sides } = withStrangers(50);
    const pair = await startPair(sides);
    const mailferry = await startBeside(pair);
    expect(await listed(mailferry.port("pop3"))).toHaveLength(50);
    await pair.pop3.close();
    expect(await loginAnswer(mailferry)).toMatch(/^-ERR \[SYS\/TEMP\] /);
  });

  it("are not matched with a message that only has their size", async () => {
    const { imap, pop3 } = shuffledMail(50);
    const pair = await startPair({ imap: imap.slice(0, 50), pop3 });
    const mailferry = await startBeside(pair);
    await listed(mailferry.port("pop3"));
    await expectComplete(mailferry);
    const bytes = Buffer.from("Subject: by POP3 only\r\n\r\ntext\r\n");
    pair.pop3.messages.push({ uidl: "stranger", bytes });
    const header = "Subject: by IMAP only\r\n\r\n";
    const text = `${header}${"x".repeat(altered(bytes, "stranger").length - header.length - 2)}\r\n`;
    await (await pair.legacy.client(user)).ok("APPEND INBOX ", Buffer.from(text));
    const shown = (await retrieved(mailferry.port("pop3"))).at(-1)?.toString();
    expect(shown).toContain("by POP3 only");
  });

  it("keep POP3 clients out where that is asked", async () => {
    const { strange: _, ...sides } = withStrangers(50);
    const mailferry = await startBeside(await startPair(sides), { onUnmatched: "refuse" });
    expect(await loginAnswer(mailferry)).toMatch(/^-ERR \[SYS\/TEMP\] /);
    expect((await cli(mailferry, "migrate")).code).toBe(1);
    expect(await loginAnswer(mailferry)).toMatch(/^-ERR \[SYS\/TEMP\] /);
  });
});

function asked(pop3: AlteringPop3): Readonly<Record<string, number>> {
  return Object.fromEntries(["LIST", "UIDL", "TOP", "RETR"].map((command) => [command, pop3.count(command)]));
}

/** What PASS is answered with. */
async function loginAnswer(mailferry: Mailferry): Promise<string | undefined> {
  const client = await connectClient(mailferry.port("pop3"));
  await client.line();
  client.send(`USER ${user}\r\n`);
  await client.line();
  client.send(`PASS pass-${user}\r\n`);
  const answer = await client.line();
  client.send("QUIT\r\n");
  await client.line();
  client.close();
  return answer;
}
