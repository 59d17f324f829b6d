/** Old servers that cannot give something of one message, or tell it wrongly: it stops nothing but itself. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type Manners, type OddImap, oddMailbox, oddMessage, rightItem } from "../helpers/odd-imap.ts";

const user = "alice@example.com";
const all = Array.from({ length: 30 }, (_, index) => index + 1);
const without = (...uids: number[]): number[] => all.filter((uid) => !uids.includes(uid));

/** What the server does where it comes to what it cannot give, and what of its answer has gone out by then. */
const endings = {
  "closes the connection": (before: string) => before,
  "says NO": (before: string, tag: string) => `${before}${tag} NO cannot read message\r\n`,
  "says NO [SERVERBUG] to all of them": (_: string, tag: string) =>
    `${tag} NO [SERVERBUG] Internal error\r\n`,
  "falls silent": (before: string) => before,
} as const;
type Ending = keyof typeof endings;

const mark = "\0";

/** `what` of `bad` messages cannot be given. */
function breaking(ending: Ending, what: RegExp, ...bad: number[]): Partial<Manners> {
  return {
    item: (message, item) => (bad.includes(message.uid) && what.test(item) ? mark : rightItem(message, item)),
    sent(text, connection) {
      const at = text.indexOf(mark);
      if (at < 0) return text;
      if (ending === "closes the connection") setImmediate(connection.end);
      const tag = /(\S+) OK fetched\r\n$/.exec(text)?.[1] ?? "";
      return endings[ending](text.slice(0, text.lastIndexOf("* ", at)), tag);
    },
  };
}

async function start(manners: Partial<Manners>): Promise<{ odd: OddImap; mailferry: Mailferry }> {
  const inbox = oddMailbox(all.map((uid) => oddMessage(uid)));
  return startBehindOdd({ INBOX: inbox }, manners, { legacyExtra: { timeout: 1 } });
}

function uidsOf(untagged: readonly Buffer[]): number[] {
  const told = untagged.flatMap((response) => {
    const uid = fetchItems(response)?.get("UID");
    return uid === undefined ? [] : [Number(textOf(uid))];
  });
  return told.sort((a, b) => a - b);
}

async function fetched(client: ImapClient, items: string): Promise<[string, number[]]> {
  const { status, untagged } = await client.command(`UID FETCH 1:* (${items})`);
  return [status, uidsOf(untagged)];
}

/** The UIDs that `migrate` names. */
async function namedBy({ configFile }: Mailferry): Promise<readonly number[]> {
  const { stdout } = await runCli(["migrate", "-c", configFile, user]);
  return [...stdout.matchAll(/not here: INBOX: UID (\d+): the old server cannot give it/g)].map((match) =>
    Number(match[1]),
  );
}

function pulled({ dataDir }: Mailferry): Map<number, Buffer> {
  const cur = join(dataDir, "mail/example.com/alice/Maildir/cur");
  return new Map(readdirSync(cur).map((name) => [Number.parseInt(name, 10), readFileSync(join(cur, name))]));
}

for (const ending of Object.keys(endings) as Ending[]) {
  it(`of one message the size cannot be had: it ${ending}`, async () => {
    const { mailferry } = await start(breaking(ending, /^RFC822\.SIZE$|^BODY/, 10));
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    expect(await fetched(client, "FLAGS")).toEqual(["OK", all]);
    expect(await fetched(client, "FLAGS RFC822.SIZE")).toEqual(["NO", without(10)]);
    expect(uidsOf((await client.ok("UID STORE 1:* +FLAGS (\\Seen)")).untagged)).toEqual(all);
    expect(await namedBy(mailferry)).toEqual([10]);
    expect([...pulled(mailferry).keys()]).toEqual(without(10));
    expect((await runCli(["cutover", "-c", mailferry.configFile, user])).code).toBe(1);
  });

  it(`of two messages the text cannot be had: it ${ending}`, async () => {
    const { mailferry } = await start(breaking(ending, /^BODY/, 10, 11));
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    expect(await fetched(client, "FLAGS RFC822.SIZE INTERNALDATE")).toEqual(["OK", all]);
    expect(await namedBy(mailferry)).toEqual([10, 11]);
    expect([...pulled(mailferry).keys()]).toEqual(without(10, 11));
    const bodies: Buffer[] = [];
    const reading = client.stream((response) => void bodies.push(response), "UID FETCH 1:* (BODY.PEEK[])");
    // As there: the session ends, or goes on behind a NO; all others come first.
    await expect(reading).rejects.toThrow(ending.startsWith("says NO") ? /NO/ : /BYE|closed/);
    expect(uidsOf(bodies)).toEqual(without(10, 11));
    expect(await namedBy(mailferry)).toEqual([10, 11]);
  });

  it(`of one message the flags cannot be had: it ${ending}`, async () => {
    const { mailferry, odd } = await start(breaking(ending, /^FLAGS$/, 10));
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    expect(await fetched(client, "FLAGS")).toEqual(["NO", without(10)]);
    expect(await namedBy(mailferry)).toEqual([10]);
    expect([...pulled(mailferry).keys()]).toEqual(without(10));
    // What others change there is still heard of.
    odd.mailboxes.get("INBOX")?.messages[4]?.flags.add("\\Answered");
    await mailferry.restart();
    const later = await mailferry.client(user);
    await later.ok("SELECT INBOX");
    const { untagged } = await later.ok("UID FETCH 5 (FLAGS)");
    expect(String(untagged.find((one) => String(one).includes("UID 5")))).toContain("\\Answered");
  });
}

it("one that comes while a session is open is told of, and hides nothing that comes behind it", async () => {
  const { mailferry, odd } = await start(breaking("closes the connection", /^RFC822\.SIZE$|^BODY/, 31, 33));
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const inbox = odd.mailboxes.get("INBOX");
  for (const uid of [31, 32]) {
    inbox?.messages.push(oddMessage(uid));
    if (inbox) inbox.uidNext = uid + 1;
    const news = async (): Promise<string[]> => (await client.ok("NOOP")).untagged.map(String);
    await expect.poll(news, { timeout: 20_000 }).toContain(`* ${uid} EXISTS`);
  }
  expect(await fetched(client, "FLAGS")).toEqual(["OK", [...all, 31, 32]]);
  expect(await fetched(client, "RFC822.SIZE")).toEqual(["NO", [...all, 32]]);
  // One more, that nobody has been told of when something is changed.
  inbox?.messages.push(oddMessage(33));
  if (inbox) inbox.uidNext = 34;
  await client.ok("UID STORE 1:5 +FLAGS (\\Flagged)");
  await client.ok("UID COPY 1:5 INBOX");
});

const untold: Readonly<Record<string, (item: string) => string | undefined>> = {
  "INTERNALDATE is NIL": (item) => (item === "INTERNALDATE" ? "INTERNALDATE NIL" : ""),
  "INTERNALDATE is left out": (item) => (item === "INTERNALDATE" ? undefined : ""),
  "INTERNALDATE is no date": (item) =>
    item === "INTERNALDATE" ? 'INTERNALDATE "07-Feb-2019 02:44:25 GMT"' : "",
  "INTERNALDATE is day 0": (item) =>
    item === "INTERNALDATE" ? 'INTERNALDATE "00-Jan-0000 00:00:00 +0000"' : "",
  "RFC822.SIZE is NIL": (item) => (item === "RFC822.SIZE" ? "RFC822.SIZE NIL" : ""),
  "RFC822.SIZE is left out": (item) => (item === "RFC822.SIZE" ? undefined : ""),
  "RFC822.SIZE and INTERNALDATE are left out": (item) =>
    item === "RFC822.SIZE" || item === "INTERNALDATE" ? undefined : "",
};

for (const [name, answer] of Object.entries(untold)) {
  it(`${name}: the message is shown as its text says, and comes across`, async () => {
    const { mailferry, odd } = await start({
      item: (message, item) =>
        message.uid === 3 && answer(item) !== "" ? answer(item) : rightItem(message, item),
    });
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    const { untagged } = await client.ok("UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)");
    expect(uidsOf(untagged)).toEqual(all);
    const third = fetchItems(untagged.find((one) => String(one).includes("UID 3 ")) ?? Buffer.alloc(0));
    const { messages = [] } = odd.mailboxes.get("INBOX") ?? {};
    expect(textOf(third?.get("INTERNALDATE"))).toBe("12-Mar-2019 08:15:30 +0100");
    expect(textOf(third?.get("RFC822.SIZE"))).toBe(String(messages[2]?.body.length));
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect([migrated.code, migrated.stdout]).toEqual([0, expect.stringContaining("complete: 30 of 30")]);
    expect(pulled(mailferry)).toEqual(new Map(messages.map(({ uid, body }) => [uid, body])));
    const status = await runCli(["status", "-c", mailferry.configFile, user]);
    expect(status.stdout).toContain("of 1 messages the old server tells no date or no size");
    expect((await runCli(["verify", "-c", mailferry.configFile, user])).code).toBe(0);
  });
}
