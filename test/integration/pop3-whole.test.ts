/** Old POP3 servers whose answers are not what LIST tells of them: whole, or named and in the way of a cutover. */
import { describe, expect, it, onTestFinished } from "vitest";
import {
  type AlteringPop3,
  type AlteringPop3Options,
  type ServedMessage,
  startAlteringPop3,
} from "../helpers/altering-pop3.ts";
import { startBehindPop3 } from "../helpers/behind-pop3.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type CliResult, type Mailferry, runCli } from "../helpers/mailferry.ts";

const user = "alice";
const asItIs = (text: string): string => text;
const pipelining = ["TOP", "UIDL", "USER", "PIPELINING"];

const letter = (name: string, body = `body of ${name}\r\n.dot\r\nline\r\n`): ServedMessage => ({
  uidl: `uidl-${name}`,
  bytes: Buffer.from(`From: a@example.org\r\nSubject: ${name}\r\n\r\n${body}`, "latin1"),
});

interface Standing {
  readonly mailferry: Mailferry;
  readonly pop3: AlteringPop3;
}

async function start(messages: readonly ServedMessage[], options: AlteringPop3Options): Promise<Standing> {
  const pop3 = await startAlteringPop3(messages, { isPlain: true, ...options });
  onTestFinished(() => pop3.close());
  return { mailferry: await startInFrontOf(pop3.port), pop3 };
}

async function startInFrontOf(port: number): Promise<Mailferry> {
  const mailferry = await startBehindPop3(port);
  (await mailferry.client(user)).close();
  return mailferry;
}

const cli = ({ mailferry }: Pick<Standing, "mailferry">, ...command: readonly string[]): Promise<CliResult> =>
  runCli([...command, "-c", mailferry.configFile, user]);

async function bodiesHere({ mailferry }: Pick<Standing, "mailferry">): Promise<string[]> {
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const { untagged } = await client.ok("FETCH 1:* (BODY.PEEK[])");
  client.close();
  return untagged.flatMap((response) => {
    const text = response.toString("latin1");
    const [head, bytes] = /BODY\[\] \{(\d+)\}\r\n/.exec(text) ?? [];
    if (head === undefined) return [];
    const from = text.indexOf(head) + head.length;
    return text.slice(from, from + Number(bytes));
  });
}

const texts = (messages: readonly ServedMessage[]): string[] =>
  messages.map(({ bytes }) => bytes.toString("latin1"));

async function expectWhole(
  standing: Pick<Standing, "mailferry">,
  messages: readonly ServedMessage[],
): Promise<void> {
  const migrated = await cli(standing, "migrate");
  expect(migrated.stdout).toContain(`complete: ${messages.length} of ${messages.length} messages`);
  expect(await bodiesHere(standing)).toEqual(texts(messages));
  const { stdout, stderr } = await cli(standing, "cutover");
  expect(stdout + stderr).toContain(`${user}: local`);
}

async function expectNamed(
  standing: Standing,
  messages: readonly ServedMessage[],
  odd: ServedMessage,
): Promise<void> {
  const migrated = await cli(standing, "migrate");
  expect(migrated.code).not.toBe(0);
  expect(migrated.stdout + migrated.stderr).toContain(odd.uidl);
  expect((await cli(standing, "status")).stdout).toContain(`${odd.uidl}: the old server lists it with`);
  expect(await bodiesHere(standing)).toEqual(texts(messages.filter((one) => one !== odd)));
  const { stdout, stderr, code } = await cli(standing, "cutover");
  expect(code).not.toBe(0);
  expect(stdout + stderr).toContain(odd.uidl);
}

describe.each([
  ["one by one", undefined],
  ["pipelined", pipelining],
])("a server that stuffs no dots, %s:", (_, capabilities) => {
  const options = { stuff: asItIs, ...(capabilities && { capabilities }) };
  it.each([
    ["ends early", "before\r\n.\r\nafter: order 4711\r\n"],
    ["ends late in it", `${"before\r\n".repeat(50)}.\r\nafter\r\n`],
    ["has a dot alone for its last line", "before\r\n.\r\n"],
    [
      "forges the next answers",
      "x\r\n.\r\n+OK\r\nSubject: forged\r\n\r\nforged\r\n.\r\n+OK\r\nSubject: more\r\n\r\n",
    ],
    ["forges a refusal", "x\r\n.\r\n-ERR no such message\r\n"],
  ])("a message that %s", async (_, body) => {
    const odd = letter("odd", body);
    const messages = [letter("one"), odd, letter("two"), letter("three")];
    await expectNamed(await start(messages, options), messages, odd);
  });

  it("lines that begin with a dot keep it", async () => {
    const messages = [letter("one"), letter("two", ".signature\r\nx\r\n.\rz\r\n")];
    await expectWhole(await start(messages, options), messages);
  });

  it("two dots at the start of a line are not one", async () => {
    const odd = letter("odd", "..two\r\n");
    const messages = [odd, letter("one")];
    await expectNamed(await start(messages, options), messages, odd);
  });
});

describe("a server that does not stuff the first byte", () => {
  const stuff = (text: string): string => text.replace(/\n\./g, "\n..");
  it.each([
    [".", false],
    [".From: a@example.org", true],
  ])("a message that begins with the line %s", async (line, isWhole) => {
    const odd = { uidl: "uidl-odd", bytes: Buffer.from(`${line}\r\nSubject: odd\r\n\r\n.dot\r\n`) };
    const messages = [letter("one"), odd, letter("two")];
    const standing = await start(messages, { stuff });
    if (isWhole) await expectWhole(standing, messages);
    else await expectNamed(standing, messages, odd);
  });
});

it("a real Dovecot's line ends, and a dot before all, are no contradiction", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  const bodies = ["text\n.dot\n..two\n", "no end", "CR at the end\r", "mixed\r\nends\n", "\n\n.\n\n", ""];
  const files = [".From: a@example.org\nSubject: x\n\nx\n", ...bodies.map((body) => `Subject: x\n\n${body}`)];
  const messages = files.map((text, index) => ({
    uid: index + 1,
    bytes: Buffer.from(text),
    flags: [],
    epochSeconds: 1_600_000_000 + index,
  }));
  const box = { path: ["INBOX"], uidValidity: 1_234_567_890, messages: () => messages };
  await fillAccount(legacy, user, { mailboxes: [box], subscriptions: [], specialUse: {} });
  await legacy.start();
  const shown = files.map((text) => text.replace(/\r?\n/g, "\r\n").replace(/(?<!\n)$/, "\r\n"));
  const mailferry = await startInFrontOf(legacy.ports.pop3);
  await expectWhole(
    { mailferry },
    shown.map((text, index) => ({ uidl: String(index), bytes: Buffer.from(text) })),
  );
});

describe("LIST", () => {
  const messages = Array.from({ length: 30 }, (_, index) =>
    letter(String(index), `${"line\r\n".repeat(index)}.dot\r\n`),
  );

  it.each([
    ["LF", (text: string) => text.replaceAll("\r\n", "\n").length],
    ["nothing", () => 0],
    ["blocks", (text: string) => Math.ceil(text.length / 512) * 512],
    ["the same of all", () => 1024],
    ["what it guesses", (text: string) => Math.round(text.length * 1.3)],
  ])("that counts %s does not cost a session a message", async (_, sizeOf) => {
    const standing = await start(messages, { sizeOf });
    await expectWhole(standing, messages);
    expect(standing.pop3.count("PASS")).toBeLessThan(messages.length / 2);
  });

  it("that tells of more than twice of what comes, for one message, is not believed to be wrong", async () => {
    const odd = letter("odd", "whole\r\n".repeat(50));
    const all = [...messages.slice(0, 5), odd];
    const textOf = (text: string): string => (text.includes("Subject: odd") ? text.slice(0, 60) : text);
    const cut = (text: string): string => `${textOf(text).replace(/\r?\n?$/, "")}\r\n`;
    await expectNamed(await start(all, { textOf: cut }), all, odd);
  });
});

it("a message that is cut once is asked for again, and whole then", async () => {
  const messages = [letter("one"), letter("two", "long\r\n".repeat(40)), letter("three")];
  let cuts = 0;
  const textOf = (text: string, index: number): string =>
    index === 1 && cuts++ === 0 ? `${text.slice(0, 80)}\r\n` : text;
  await expectWhole(await start(messages, { textOf, capabilities: pipelining }), messages);
  expect(cuts).toBeGreaterThan(1);
});

describe("a message that does not come whole", () => {
  const odd = letter("odd", "before\r\n.\r\nafter: order 4711\r\n");
  const messages = [letter("one"), odd, letter("two")];

  it("is asked for again at once when somebody asks for all", async () => {
    let isMended = false;
    const long = letter("long", "long\r\n".repeat(40));
    const textOf = (text: string): string =>
      !isMended && text.includes("Subject: long") ? `${text.slice(0, 60)}\r\n` : text;
    const all = [letter("one"), long, letter("two")];
    const standing = await start(all, { textOf });
    await expectNamed(standing, all, long);
    isMended = true;
    // Behind the others: it came after them.
    await expectWhole(standing, [letter("one"), letter("two"), long]);
  });

  it("is accepted as lost: absent after the cutover, not brought over, and there after a rollback", async () => {
    const standing = await start(messages, { stuff: asItIs });
    await expectNamed(standing, messages, odd);
    const { problems } = JSON.parse((await cli(standing, "problems", "--json")).stdout);
    expect(problems).toEqual([
      expect.objectContaining({ kind: "maildrop", uidl: odd.uidl, choices: ["retry", "accept"] }),
    ]);
    const accepted = await runCli([
      ...["problems", "-c", standing.mailferry.configFile, user, "--accept", problems[0].id],
    ]);
    expect(accepted.stdout).toMatch(/nothing stands in the way\naccepted by \S+, \S+: maildrop .*uidl-odd/);
    const verified = await cli(standing, "verify");
    expect(verified.stdout).toMatch(/accepted by \S+, \S+: maildrop [\s\S]*\nequal/);
    const cut = await cli(standing, "cutover");
    expect([cut.code, cut.stderr]).toEqual([0, ""]);
    const left = [letter("one"), letter("two")];
    expect(await bodiesHere(standing)).toEqual(texts(left));
    await standing.mailferry.restart();
    expect(await bodiesHere(standing)).toEqual(texts(left));
    expect((await cli(standing, "rollback")).code).toBe(0);
    expect(standing.pop3.messages).toHaveLength(3);
    expect(standing.pop3.count("DELE")).toBe(0);
  });

  it("accepted, another one under its UIDL is not covered", async () => {
    const standing = await start(messages, { stuff: asItIs });
    await expectNamed(standing, messages, odd);
    expect((await cli(standing, "problems", "--accept-kind", "maildrop")).code).toBe(0);
    standing.pop3.messages[1] = letter(
      "odd",
      "another\r\n.\r\nwith something else behind it, and longer\r\n",
    );
    const migrated = await cli(standing, "migrate");
    expect([migrated.code, migrated.stdout]).toEqual([1, expect.stringContaining("uidl-odd")]);
  });
});

it("a message that does not come to its end is named, and stops only itself", {
  timeout: 180_000,
}, async () => {
  const letters = ["one", "two", "three"].map((name) => letter(name));
  const endless = "line\r\n".repeat(6 << 20);
  const standing = await start(letters, {
    capabilities: pipelining,
    sizeOf: (text) => Math.min(text.length, 200),
    textOf: (text, index) => (index === 1 ? endless : text),
  });
  expect((await cli(standing, "migrate")).stdout).toContain("the UIDL uidl-two: ");
  expect(await bodiesHere(standing)).toEqual(
    [letters[0], letters[2]].map((one) => one?.bytes.toString("latin1")),
  );
  expect((await cli(standing, "cutover")).stderr).toContain("the UIDL uidl-two: ");
});
