/** Old servers whose messages are not what they say of them: what contradicts itself is asked for again, and never kept. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import {
  literal,
  type Manners,
  type OddImap,
  type OddMessage,
  oddMailbox,
  oddMessage,
  rightItem,
} from "../helpers/odd-imap.ts";

const user = "alice@example.com";
const texts = [1, 2, 3, 4, 5, 6].map((uid) =>
  Buffer.from(
    `From: anna@example.net\r\nSubject: Letter ${uid}\r\n\r\nGrüße ${uid}, es kostet 10 €; das Ende\r\n`,
  ),
);

async function start(
  manners: Partial<Manners>,
): Promise<{ client: ImapClient; mailferry: Mailferry; odd: OddImap }> {
  const inbox = oddMailbox(texts.map((text, index) => oddMessage(index + 1, text)));
  const { mailferry, odd } = await startBehindOdd({ INBOX: inbox }, manners, { legacyExtra: { timeout: 1 } });
  const client = await mailferry.client(user);
  return { client, mailferry, odd };
}

/** BODY[] of message 3 is told in another way. */
function third(tell: (message: OddMessage, time: number) => string): Partial<Manners> {
  let times = 0;
  return {
    item: (message, item) =>
      message.uid === 3 && /^BODY(\.PEEK)?\[\]$/.test(item)
        ? `BODY[] ${tell(message, ++times)}`
        : rightItem(message, item),
  };
}

const right = ({ body }: OddMessage): string => `{${body.length}}\r\n${body.toString("latin1")}`;
const announced = ({ body }: OddMessage, sizeBytes: number): string =>
  `{${sizeBytes}}\r\n${body.toString("latin1")}`;

function pulled({ dataDir }: Mailferry): Map<number, Buffer> {
  const cur = join(dataDir, "mail/example.com/alice/Maildir/cur");
  return new Map(readdirSync(cur).map((name) => [Number.parseInt(name, 10), readFileSync(join(cur, name))]));
}

const allRight = new Map(texts.map((text, index) => [index + 1, text]));

const never: Readonly<Record<string, Partial<Manners>>> = {
  "the literal counts characters": third((message) => announced(message, message.body.toString().length)),
  "the literal counts characters, and no line ends the message": third((message) => {
    const body = message.body.subarray(0, -2);
    return announced({ ...message, body }, body.toString().length);
  }),
  "the literal is announced too long by two bytes": third((message) =>
    announced(message, message.body.length + 2),
  ),
  "the literal is announced so long that it swallows the next message": third((message) =>
    announced(message, message.body.length + 60),
  ),
  'the message is always ""': third(() => '""'),
  "the message is always NIL": third(() => "NIL"),
  "another length of it comes each time": third(({ body }, time) =>
    right({ body: body.subarray(0, 20 + time) } as OddMessage),
  ),
};

for (const [name, manners] of Object.entries(never)) {
  it(`${name}: the others come across, that one is named and not kept`, async () => {
    const { mailferry } = await start(manners);
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect([migrated.code, migrated.stdout]).toEqual([1, expect.stringMatching(/not here: INBOX: UID 3: /)]);
    expect(migrated.stdout).not.toMatch(/UID [124-6]:/);
    expect(pulled(mailferry)).toEqual(new Map([...allRight].filter(([uid]) => uid !== 3)));
    expect((await runCli(["verify", "-c", mailferry.configFile, user])).code).toBe(1);
    expect((await runCli(["cutover", "-c", mailferry.configFile, user])).code).toBe(1);
  });
}

const once: Readonly<Record<string, Partial<Manners>>> = {
  'the message is "" the first time': third((message, time) => (time === 1 ? '""' : right(message))),
  "the message is cut the first time": third((message, time) =>
    time === 1 ? right({ ...message, body: message.body.subarray(0, 30) }) : right(message),
  ),
  "the literal counts characters the first time": third((message, time) =>
    announced(message, time === 1 ? message.body.toString().length : message.body.length),
  ),
  "the message is NIL the first time": third((message, time) => (time === 1 ? "NIL" : right(message))),
};

for (const [name, manners] of Object.entries(once)) {
  it(`${name}: a client gets it whole, and it comes across`, async () => {
    const { mailferry, client } = await start(manners);
    await client.ok("SELECT INBOX");
    const { untagged } = await client.ok("UID FETCH 3 (BODY.PEEK[])");
    expect(String(untagged[0])).toContain(texts[2]?.toString());
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect([migrated.code, migrated.stdout]).toEqual([0, expect.stringContaining("complete: 6 of 6")]);
    expect(pulled(mailferry)).toEqual(allRight);
  });
}

const sizes: Readonly<Record<string, (message: OddMessage) => number>> = {
  "0 for all": () => 0,
  "counted with LF": ({ body }) => body.toString("latin1").replaceAll("\r\n", "\n").length,
  "counted in characters": ({ body }) => body.toString().length,
};

for (const [name, sizeOf] of Object.entries(sizes)) {
  it(`RFC822.SIZE is wrong by nature, ${name}: the same bytes twice are believed`, async () => {
    const { mailferry } = await start({
      item: (message, item) =>
        item === "RFC822.SIZE" ? `RFC822.SIZE ${sizeOf(message)}` : rightItem(message, item),
    });
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect([migrated.code, migrated.stdout]).toEqual([0, expect.stringContaining("complete: 6 of 6")]);
    expect(pulled(mailferry)).toEqual(allRight);
    expect((await runCli(["cutover", "-c", mailferry.configFile, user])).code).toBe(0);
  });
}

for (const told of ['""', "NIL"]) {
  it(`a client is shown ${told} as it would see it there, and all others`, async () => {
    const { client } = await start(third(() => told));
    await client.ok("SELECT INBOX");
    for (const _ of [1, 2]) {
      const { untagged } = await client.ok("UID FETCH 1:* (BODY.PEEK[])");
      expect(untagged.map((one) => /UID (\d+)/.exec(String(one))?.[1])).toEqual([
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
      ]);
      expect(String(untagged[2])).toMatch(told === "NIL" ? /BODY\[\] NIL/ : /BODY\[\] \{0\}/);
    }
  });
}

it("one that another session removes as it is asked for is left out, and nobody is sent away", async () => {
  const removing: Partial<Manners> = {
    item(message, item, connection) {
      if (message.uid !== 3 || !/^BODY(\.PEEK)?\[\]$/.test(item)) return rightItem(message, item);
      const inbox = odd.mailboxes.get(connection.selected ?? "");
      if (inbox) inbox.messages = inbox.messages.filter(({ uid }) => uid !== 3);
      return "BODY[] NIL";
    },
  };
  const { mailferry, client, odd } = await start(removing);
  await client.ok("SELECT INBOX");
  const { untagged } = await client.ok("UID FETCH 1:* (BODY.PEEK[])");
  const bodies = untagged.map(String).filter((one) => one.includes("BODY[]"));
  expect(bodies.map((one) => /UID (\d+)/.exec(one)?.[1])).toEqual(["1", "2", "4", "5", "6"]);
  await client.ok("NOOP");
  expect((await client.ok("UID SEARCH ALL")).untagged.map(String)).toEqual(["* SEARCH 1 2 4 5 6"]);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect([migrated.code, migrated.stdout]).toEqual([0, expect.stringContaining("complete: 5 of 5")]);
});

/** As long as it is, and another. */
function altered({ body }: OddMessage, time = 0): string {
  return literal(body.toString("latin1").replace("Letter", `Le${time % 10}ter`));
}

const body = (tell: (message: OddMessage, time: number) => string): Manners["item"] =>
  third(tell).item as Manners["item"];

async function verified({ configFile }: Mailferry): Promise<{ code: number | null; stdout: string }> {
  const { code, stdout } = await runCli(["verify", "-c", configFile, user]);
  return { code, stdout };
}

it("other bytes of the same length were given once: verify fetches them anew, and both sides are equal", async () => {
  const { odd, mailferry, client } = await start({ item: body((message) => altered(message)) });
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  expect(pulled(mailferry).get(3)).not.toEqual(allRight.get(3));
  odd.behave({ item: rightItem });
  expect(await verified(mailferry)).toEqual({ code: 0, stdout: expect.stringMatching(/\nequal\n$/) });
  expect(pulled(mailferry)).toEqual(allRight);
  await client.ok("SELECT INBOX");
  const [told] = (await client.ok("UID FETCH 3 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).untagged;
  expect(String(told)).toContain("Subject: Letter 3");
  expect((await runCli(["cutover", "-c", mailferry.configFile, user])).code).toBe(0);
});

it("a wrong date was told once: verify takes what is told now", async () => {
  const { odd, mailferry } = await start({
    item: (message, what) => {
      if (message.uid === 4 && what === "INTERNALDATE") return 'INTERNALDATE "01-Jan-2001 00:00:00 +0000"';
      return rightItem(message, what);
    },
  });
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  odd.behave({ item: rightItem });
  expect(await verified(mailferry)).toEqual({ code: 0, stdout: expect.stringMatching(/\nequal\n$/) });
  expect(pulled(mailferry)).toEqual(allRight);
});

it("other bytes at each look, or not as long as it says: what is here stays, and the difference is told", async () => {
  const { odd, mailferry } = await start({});
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  odd.behave({ item: body(altered) });
  expect(await verified(mailferry)).toEqual({ code: 1, stdout: expect.stringContaining("UID 3: bytes") });
  expect(pulled(mailferry)).toEqual(allRight);
  odd.behave({ item: body((message) => literal(`${message.body.toString("latin1")}more\r\n`)) });
  expect(await verified(mailferry)).toEqual({ code: 1, stdout: expect.stringContaining("UID 3: bytes") });
  expect(pulled(mailferry)).toEqual(allRight);
});
