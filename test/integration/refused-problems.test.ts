/** `problems --refuse`, for each kind that has the choice: what the old server has lost comes into the mailbox Rescued. */
import { expect, it, vi } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import { listedProblems } from "../helpers/listed-problems.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type OddImap, type OddMailbox, oddMessage, upTo } from "../helpers/odd-imap.ts";

// Many commands, each a process of its own.
vi.setConfig({ testTimeout: 180_000 });

const user = "alice";

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

const listed = (mailferry: Mailferry) => listedProblems(mailferry, user);

async function start(mailboxes: Readonly<Record<string, OddMailbox>>) {
  const rig = await startBehindOdd(mailboxes, {}, { extra: { deletions: { confirmAfter: 1 } } });
  const client = await rig.mailferry.client(user);
  expect((await run(rig.mailferry, "migrate")).stdout).toContain("complete");
  return { ...rig, client };
}

const rescued = ({ mailboxes }: OddImap): number => mailboxes.get("Rescued")?.messages.length ?? 0;

async function expectEnded(mailferry: Mailferry, kind: string): Promise<void> {
  expect(await listed(mailferry)).toEqual([]);
  expect((await run(mailferry, "status")).stdout).toMatch(new RegExp(`refused by \\S+, \\S+: ${kind} `));
  expect((await run(mailferry, "migrate")).stdout).toContain("complete");
  expect((await run(mailferry, "verify")).stdout).toMatch(/\nequal/);
  const cut = await run(mailferry, "cutover");
  expect([cut.code, cut.stderr]).toEqual([0, ""]);
}

it("messages that are suddenly gone, of one mailbox and not of another", async () => {
  const { odd, mailferry } = await start({ INBOX: upTo(60), Work: upTo(70, 1_001) });
  for (const box of odd.mailboxes.values()) box.messages.splice(0, 55);
  await run(mailferry, "migrate");
  const found = await listed(mailferry);
  expect(found.map(({ kind, mailbox, choices }) => [kind, mailbox, choices])).toEqual([
    ["deletions", "INBOX", ["accept", "refuse"]],
    ["deletions", "Work", ["accept", "refuse"]],
  ]);
  const refused = await run(mailferry, "problems", "--refuse", `${found[1]?.id}`);
  expect([refused.code, refused.stdout]).toEqual([0, expect.stringContaining("refused: ")]);
  expect(rescued(odd)).toBe(55);
  expect((await listed(mailferry)).map(({ mailbox }) => mailbox)).toEqual(["INBOX"]);
  expect((await run(mailferry, "problems", "--accept-kind", "deletions")).code).toBe(0);
  expect(rescued(odd)).toBe(55);
  await expectEnded(mailferry, "deletions");
});

it("mailboxes that are left out with most of the account", async () => {
  const { odd, mailferry, client } = await start({
    INBOX: upTo(5),
    Archive: upTo(60, 1_001),
    Sent: upTo(30, 1_002),
  });
  for (const name of ["Archive", "Sent"]) odd.mailboxes.delete(name);
  await client.ok('LIST "" "*"');
  const words = async (): Promise<string> => (await run(mailferry, "problems")).stdout;
  await expect.poll(words, { timeout: 30_000, interval: 500 }).toMatch(/Archive: .*until you decide/);
  const found = await listed(mailferry);
  expect(found.map(({ kind, mailbox }) => [kind, mailbox])).toEqual([
    ["missing", "Archive"],
    ["missing", "Sent"],
  ]);
  expect((await run(mailferry, "problems", "--refuse", ...found.map(({ id }) => id))).code).toBe(0);
  expect(rescued(odd)).toBe(90);
  await expectEnded(mailferry, "missing");
});

const others = (from: number, count: number): readonly ReturnType<typeof oddMessage>[] =>
  Array.from({ length: count }, (_, index) => ({
    ...oddMessage(
      index + 1,
      `Subject: other ${from + index}\r\n\r\nNot what it was, number ${from + index}\r\n`,
    ),
    date: "01-May-2020 10:00:00 +0000",
  }));

it("other messages under the same UIDVALIDITY, of one mailbox and not of another", async () => {
  const { odd, mailferry } = await start({
    INBOX: upTo(3),
    Archive: upTo(20, 1_001),
    Work: upTo(8, 1_002),
  });
  for (const [name, count] of [
    ["Archive", 20],
    ["Work", 8],
  ] as const) {
    const box = odd.mailboxes.get(name);
    if (box) box.messages = [...others(count, count)];
  }
  await mailferry.restart();
  const client = await mailferry.client(user);
  for (const name of ["Archive", "Work"]) await client.ok(`SELECT ${name}`);
  await run(mailferry, "migrate");
  const found = await listed(mailferry);
  expect(found.map(({ kind, mailbox, choices }) => [kind, mailbox, choices])).toEqual([
    ["others", "Archive", ["accept", "refuse"]],
    ["others", "Work", ["accept", "refuse"]],
  ]);
  const refused = await run(mailferry, "problems", "--refuse", `${found[0]?.id}`);
  expect([refused.code, refused.stderr]).toEqual([0, ""]);
  expect(rescued(odd)).toBe(20);
  expect((await listed(mailferry)).map(({ mailbox }) => mailbox)).toEqual(["Work"]);
  expect((await run(mailferry, "problems", "--accept", `${found[1]?.id}`)).code).toBe(0);
  expect(rescued(odd)).toBe(20);
  await expectEnded(mailferry, "others");
});
