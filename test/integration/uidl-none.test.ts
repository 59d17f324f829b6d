/** Old POP3 servers that have no UIDL (RFC 1939 7 has it optional), or none for some messages: all mail comes across, each message once. */
import { expect, it, onTestFinished } from "vitest";
import {
  type AlteringPop3,
  type AlteringPop3Options,
  type ServedMessage,
  startAlteringPop3,
} from "../helpers/altering-pop3.ts";
import { startBehindPop3 } from "../helpers/behind-pop3.ts";
import { type CliResult, type Mailferry, runCli } from "../helpers/mailferry.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";
const withoutUidl = ["TOP", "USER"];

/** All of one length. */
const letter = (name: number): ServedMessage => ({
  uidl: `uidl-${name}`,
  bytes: Buffer.from(`From: a@example.org\r\nSubject: letter ${name}\r\n\r\nbody of ${name}\r\n`, "latin1"),
});
const letters = (...names: readonly number[]): ServedMessage[] => names.map(letter);

interface Standing {
  readonly mailferry: Mailferry;
  readonly pop3: AlteringPop3;
}

async function start(messages: readonly ServedMessage[], options: AlteringPop3Options): Promise<Standing> {
  const pop3 = await startAlteringPop3(messages, { isPlain: true, ...options });
  onTestFinished(() => pop3.close());
  const mailferry = await startBehindPop3(pop3.port);
  (await mailferry.client(user)).close();
  return { mailferry, pop3 };
}

const cli = ({ mailferry }: Standing, ...command: readonly string[]): Promise<CliResult> =>
  runCli([...command, "-c", mailferry.configFile, user]);

const migrate = async (standing: Standing): Promise<string> => (await cli(standing, "migrate")).stdout;

async function subjectsByImap({ mailferry }: Standing): Promise<string[]> {
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const { untagged } = await client.ok("UID FETCH 1:* (BODY.PEEK[])");
  client.close();
  return untagged.flatMap((answer) => {
    const [, uid, subject] = /UID (\d+) .*?Subject: letter (\d+)/s.exec(answer.toString("latin1")) ?? [];
    return uid === undefined ? [] : [`${uid}: ${subject}`];
  });
}

interface Seen {
  readonly subjects: readonly string[];
  /** undefined: refused. */
  readonly uidls: readonly (readonly [number, string])[] | undefined;
}

async function seenByPop3({ mailferry }: Standing): Promise<Seen> {
  const session = await openMaildrop(mailferry.port("pop3"), user);
  const subjects: string[] = [];
  for (const number of (await session.list()).keys()) {
    const pieces: Buffer[] = [];
    await session.retrieve(number, (bytes) => void pieces.push(Buffer.from(bytes)) as undefined);
    subjects.push(/letter (\d+)/.exec(Buffer.concat(pieces).toString("latin1"))?.[1] ?? "");
  }
  const uidls = await session.uidls().catch(() => undefined);
  await session.quit();
  return { subjects, uidls: uidls && [...uidls] };
}

it("without UIDL: each message comes once, through deletions and new mail of one size, and has a UIDL after the cutover", async () => {
  const standing = await start(letters(11, 12, 13, 14), { capabilities: withoutUidl });
  const { pop3, mailferry } = standing;
  expect(await migrate(standing)).toContain("complete: 4 of 4 messages");
  expect(await seenByPop3(standing)).toEqual({ subjects: ["11", "12", "13", "14"], uidls: undefined });
  // Another client straight at the server; all that follow have other numbers.
  pop3.messages.splice(1, 1);
  pop3.messages.push(letter(15));
  expect(await migrate(standing)).toContain("complete: 4 of 4 messages");
  expect(await subjectsByImap(standing)).toEqual(["1: 11", "3: 13", "4: 14", "5: 15"]);

  const session = await openMaildrop(mailferry.port("pop3"), user);
  await session.remove(1);
  await session.quit();
  expect(await migrate(standing)).toContain("complete: 3 of 3 messages");
  expect(pop3.messages.map(({ uidl }) => uidl)).toEqual(["uidl-13", "uidl-14", "uidl-15"]);
  expect((await cli(standing, "verify")).code).toBe(0);
  expect(await seenByPop3(standing)).toEqual({ subjects: ["13", "14", "15"], uidls: undefined });

  expect((await cli(standing, "cutover")).stdout).toContain("local");
  const after = await seenByPop3(standing);
  expect(after.subjects).toEqual(["13", "14", "15"]);
  const told = after.uidls?.map(([, uidl]) => uidl) ?? [];
  expect(new Set(told).size).toBe(3);
  expect(told.every((uidl) => /^[\x21-\x7e]+$/.test(uidl))).toBe(true);
  expect((await seenByPop3(standing)).uidls).toEqual(after.uidls);
});

it("without UIDL and without TOP: the same", async () => {
  const standing = await start(letters(1, 2, 3), { capabilities: ["USER"] });
  expect(await migrate(standing)).toContain("complete: 3 of 3 messages");
  standing.pop3.messages.shift();
  standing.pop3.messages.push(letter(4));
  expect(await migrate(standing)).toContain("complete: 3 of 3 messages");
  expect(await subjectsByImap(standing)).toEqual(["2: 2", "3: 3", "4: 4"]);
});

it.each([
  ["an empty one", ""],
  ["an empty one, with spaces", "   "],
])("with %s among good UIDLs: it comes with the others, and keeps its UID", async (_, empty) => {
  const standing = await start(
    letters(1, 2, 3, 4).map((one, index) => (index === 1 ? { ...one, uidl: empty } : one)),
    {},
  );
  expect(await migrate(standing)).toContain("complete: 4 of 4 messages");
  const good = [
    [1, "uidl-1"],
    [3, "uidl-3"],
    [4, "uidl-4"],
  ];
  expect(await seenByPop3(standing)).toEqual({ subjects: ["1", "2", "3", "4"], uidls: good });
  standing.pop3.messages.shift();
  standing.pop3.messages.push({ ...letter(5), uidl: empty });
  expect(await migrate(standing)).toContain("complete: 4 of 4 messages");
  expect(await subjectsByImap(standing)).toEqual(["2: 2", "3: 3", "4: 4", "5: 5"]);
  expect((await cli(standing, "verify")).code).toBe(0);
  expect((await cli(standing, "cutover")).stdout).toContain("local");
  const { uidls } = await seenByPop3(standing);
  expect(uidls?.slice(1, 3).map(([, uidl]) => uidl)).toEqual(["uidl-3", "uidl-4"]);
  expect(new Set(uidls?.map(([, uidl]) => uidl)).size).toBe(4);
});

it("a server that has had UIDLs and refuses them once changes nothing", async () => {
  const standing = await start(letters(1, 2, 3), {});
  expect(await migrate(standing)).toContain("complete: 3 of 3 messages");
  const before = await seenByPop3(standing);
  standing.pop3.refuseUidl = true;
  expect((await cli(standing, "migrate")).code).not.toBe(0);
  expect((await seenByPop3(standing)).subjects).toEqual(["1", "2", "3"]);
  standing.pop3.refuseUidl = false;
  expect(await migrate(standing)).toContain("complete: 3 of 3 messages");
  expect(await seenByPop3(standing)).toEqual(before);
  expect(await subjectsByImap(standing)).toEqual(["1: 1", "2: 2", "3: 3"]);
});
