/** A mailbox that the old server lists and does not open: it is named, and the operator's word brings the account on. */
import { expect, it, vi } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { listedProblems } from "../helpers/listed-problems.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type Manners, type OddImap, type OddMailbox, upTo } from "../helpers/odd-imap.ts";

// Many commands, each a process of its own.
vi.setConfig({ testTimeout: 180_000 });

const user = "alice";

const isOpening = (name: string, args: string): boolean =>
  /^(SELECT|EXAMINE)$/.test(name) && args.startsWith('"Calendar"');

const refusing: Partial<Manners> = {
  answer({ name, args, tag, connection }) {
    if (!isOpening(name, args)) return false;
    connection.say(`${tag} NO mailbox cannot be opened\r\n`);
    return true;
  },
};
const closing: Partial<Manners> = {
  answer({ name, args, connection }) {
    if (!isOpening(name, args)) return false;
    connection.end();
    return true;
  },
};
const telling: Partial<Manners> = { answer: () => false };

interface Rig {
  readonly odd: OddImap;
  readonly mailferry: Mailferry;
  readonly client: ImapClient;
}

async function start(calendar: OddMailbox, manners: Partial<Manners>): Promise<Rig> {
  const { odd, mailferry } = await startBehindOdd({ INBOX: upTo(3), Calendar: calendar }, manners);
  const client = await mailferry.client(user);
  await run(mailferry, "migrate");
  return { odd, mailferry, client };
}

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

const listed = (mailferry: Mailferry) => listedProblems(mailferry, user);

async function names(client: ImapClient): Promise<string> {
  return (await client.ok('LIST "" "*"')).untagged.join("\n");
}

it("is listed with an id that lasts, and accepted as lost it is absent after the cutover, and there after a rollback", async () => {
  const { odd, mailferry, client } = await start(upTo(4, 1_001), refusing);
  const [shut, ...others] = await listed(mailferry);
  expect([others, shut]).toEqual([
    [],
    expect.objectContaining({ kind: "shut", mailbox: "Calendar", choices: ["retry", "accept"] }),
  ]);
  expect(shut?.words).toMatch(/mailbox cannot be opened; it says that 4 messages are in it/);
  expect((await run(mailferry, "cutover")).stderr).toContain("Calendar: the old server does not open it");
  expect((await run(mailferry, "verify")).stdout).toMatch(
    /Calendar: mailbox: mailbox cannot be opened\n[\s\S]*NOT EQUAL/,
  );
  await mailferry.restart();
  expect((await listed(mailferry)).map(({ id }) => id)).toEqual([shut?.id]);
  const again = await mailferry.client(user);

  const accepted = await run(mailferry, "problems", "--accept", `${shut?.id}`);
  expect(accepted.stdout).toMatch(/nothing stands in the way\naccepted by \S+, \S+: shut Calendar: /);
  expect((await run(mailferry, "migrate")).stdout).toContain("complete");
  expect((await run(mailferry, "verify")).stdout).toMatch(
    /Calendar: not compared: [\s\S]*accepted by \S+, \S+: shut Calendar: [\s\S]*\nequal/,
  );
  const cut = await run(mailferry, "cutover");
  expect([cut.code, cut.stderr]).toEqual([0, ""]);
  expect(await names(again)).not.toContain("Calendar");
  expect((await again.command("SELECT Calendar")).tagged.toString()).toContain("NO");
  expect((await run(mailferry, "status")).stdout).toMatch(/accepted by \S+, \S+: shut Calendar: /);
  await mailferry.restart();
  expect(await names(await mailferry.client(user))).not.toContain("Calendar");

  expect((await run(mailferry, "rollback")).code).toBe(0);
  expect(odd.mailboxes.get("Calendar")?.messages).toHaveLength(4);
  expect(odd.log.filter((line) => /^(DELETE|RENAME|UNSUBSCRIBE)/.test(line))).toEqual([]);
  expect(await names(await mailferry.client(user))).toContain("Calendar");
  void client;
});

it("accepted as lost, more mail in it is not covered", async () => {
  const { odd, mailferry } = await start(upTo(2, 1_001), refusing);
  const [before] = await listed(mailferry);
  expect((await run(mailferry, "problems", "--accept-kind", "shut")).code).toBe(0);
  odd.mailboxes.set("Calendar", upTo(3, 1_001));
  expect((await run(mailferry, "cutover")).stderr).toContain("it says that 3 messages are in it");
  const [after] = await listed(mailferry);
  expect(after?.id).not.toBe(before?.id);
  expect((await run(mailferry, "problems", "--accept", `${before?.id}`)).code).not.toBe(0);
  expect((await run(mailferry, "problems", "--accept", `${after?.id}`)).code).toBe(0);
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("that is shut by closing the connection stops nobody else, and can be accepted as well", async () => {
  const { mailferry, client } = await start(upTo(2, 1_001), closing);
  const [shut] = await listed(mailferry);
  expect(shut).toMatchObject({ kind: "shut", mailbox: "Calendar" });
  expect(shut?.tries).toBeGreaterThan(2);
  expect((await run(mailferry, "status")).stdout).toContain("the old server does not open it");
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
  expect((await run(mailferry, "problems", "--accept", `${shut?.id}`)).code).toBe(0);
  const cut = await run(mailferry, "cutover");
  expect([cut.code, cut.stderr]).toEqual([0, ""]);
  expect(await names(client)).not.toContain("Calendar");
  expect((await client.ok("SELECT INBOX")).untagged.join("\n")).toContain("* 3 EXISTS");
});

it("that opens after it was accepted is brought across as any other", async () => {
  const { odd, mailferry, client } = await start(upTo(2, 1_001), refusing);
  expect((await run(mailferry, "problems", "--accept-kind", "shut")).code).toBe(0);
  odd.behave(telling);
  expect((await run(mailferry, "cutover")).code).toBe(0);
  expect((await client.ok("SELECT Calendar")).untagged.join("\n")).toContain("* 2 EXISTS");
});

it("whose mail is here when it shuts keeps what is here, and a rollback finds it again", async () => {
  const { odd, mailferry, client } = await start(upTo(2, 1_001), telling);
  odd.behave(refusing);
  await mailferry.restart();
  const again = await mailferry.client(user);
  await run(mailferry, "migrate");
  expect((await run(mailferry, "cutover")).stderr).toContain("Calendar: the old server does not open it");
  expect((await run(mailferry, "problems", "--accept-kind", "shut")).code).toBe(0);
  expect((await run(mailferry, "cutover")).code).toBe(0);
  expect((await again.ok("SELECT Calendar")).untagged.join("\n")).toContain("* 2 EXISTS");
  odd.behave(telling);
  expect((await run(mailferry, "rollback")).code).toBe(0);
  expect(odd.mailboxes.get("Calendar")?.messages).toHaveLength(2);
  void client;
});

it("in which nothing is, as STATUS says, bars no cutover, and is no mailbox afterwards", async () => {
  const { mailferry, client } = await start(upTo(0, 1_001), refusing);
  expect((await listed(mailferry)).map(({ kind }) => kind)).toEqual(["shut"]);
  const cut = await run(mailferry, "cutover");
  expect([cut.code, cut.stderr]).toEqual([0, ""]);
  expect(await names(client)).not.toContain("Calendar");
  expect((await run(mailferry, "status")).stdout).toMatch(/accepted by cutover, \S+: shut Calendar: /);
});
