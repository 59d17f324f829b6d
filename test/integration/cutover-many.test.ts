/** One command for many accounts: each in turn, each with its own outcome. */
import { expect, it, onTestFinished } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { type CliResult, type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const [alice, bob, carol, dave] = ["alice@a.example", "bob@a.example", "carol@b.example", "dave@b.example"];
const users = [alice, bob, carol, dave] as string[];

async function start(): Promise<{
  legacy: Dovecot;
  mailferry: Mailferry;
  cutover: (...args: string[]) => Promise<CliResult>;
  stages: () => Promise<Record<string, string>>;
}> {
  const legacy = await startDovecot({ users });
  onTestFinished(() => legacy.close());
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const command = (name: string, ...args: string[]) => runCli([name, "-c", mailferry.configFile, ...args]);
  for (const user of users) {
    await (await mailferry.client(user)).ok("NOOP");
    expect((await command("migrate", user)).code).toBe(0);
  }
  return {
    legacy,
    mailferry,
    cutover: (...args) => command("cutover", ...args),
    async stages() {
      const told = JSON.parse((await command("status", "--json")).stdout) as {
        user: string;
        stage: string;
      }[];
      return Object.fromEntries(told.map(({ user, stage }) => [user, stage]));
    },
  };
}

const lines = ({ stdout }: CliResult): string[] => stdout.trim().split("\n");

it("takes those that are ready, one domain at a time, and goes on where one fails", async () => {
  const { legacy, mailferry, cutover, stages } = await start();

  const looked = await cutover("--ready", "--dry-run");
  expect(looked).toMatchObject({ code: 0, stderr: "" });
  expect(lines(looked)).toEqual(users.map((user) => `${user}: nothing stands against it`));
  expect(new Set(Object.values(await stages()))).toEqual(new Set(["complete"]));

  const first = await cutover("--domain", "A.example");
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(lines(first)).toEqual([alice, bob].map((user) => expect.stringMatching(`^${user}: local; changes`)));
  expect(await stages()).toEqual({
    [alice!]: "local",
    [bob!]: "local",
    [carol!]: "complete",
    [dave!]: "complete",
  });

  // Nobody is logged in as carol any more.
  await mailferry.restart();
  const client = await mailferry.client(dave!);
  const others = await cutover("--domain", "b.example", "--json");
  expect(others.code).toBe(1);
  expect(lines(others).map((line) => JSON.parse(line))).toEqual([
    {
      ok: false,
      user: carol,
      reason: `nobody is logged in as ${carol}: give the password by --password-file`,
    },
    { ok: true, user: dave, heldMs: expect.any(Number) },
  ]);
  await client.ok("APPEND INBOX ", Buffer.from("Subject: here\r\n\r\ntext\r\n"));
  expect((await (await legacy.client(dave!)).ok("STATUS INBOX (MESSAGES)")).untagged.join()).toContain(
    "MESSAGES 0",
  );

  const none = await cutover("--ready");
  expect(none.code).toBe(0);
  expect(lines(none)).toEqual([
    "no account is ready",
    "left out: 1 complete accounts whose users are not logged in",
  ]);
  await mailferry.client(carol!);
  const last = await cutover("--ready", "--domain", "b.example");
  expect(last.code).toBe(0);
  expect(lines(last)).toEqual([expect.stringMatching(`^${carol}: local; changes`)]);
  const again = await cutover("--domain", "a.example");
  expect(again.code).toBe(0);
  expect(lines(again)).toEqual([alice, bob].map((user) => `${user}: is local already`));
  expect((await cutover("--domain", "c.example")).code).toBe(1);
});

it.each([[[]], [["alice", "--ready"]], [["--ready", "--password-file", "x"]]])(
  "%j is wrong usage",
  async (args) => {
    expect(await runCli(["cutover", "-c", "x.yaml", ...args])).toMatchObject({ code: 2, stdout: "" });
  },
);
