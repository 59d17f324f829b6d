/** An old server that takes commands and answers none of them, in front of an account whose mail is all here. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { connectImap, type ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, stageOf, startMailferry } from "../helpers/mailferry.ts";
import {
  type OddCall,
  type OddImap,
  oddMailbox,
  oddMessage,
  oddPassword,
  startOddImap,
} from "../helpers/odd-imap.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const user = "alice";
let odd: OddImap;
let mailferry: Mailferry;
let first: ImapClient;
/** What was not answered. */
let held: OddCall[];

beforeEach(async () => {
  held = [];
  odd = await startOddImap({
    INBOX: oddMailbox([1, 2, 3].map((uid) => oddMessage(uid))),
    Archive: oddMailbox(
      [5, 9].map((uid) => oddMessage(uid)),
      2_000,
    ),
  });
  const legacy = { host: "127.0.0.1", passwordOf: () => oddPassword, ports: { imap: odd.port } };
  mailferry = await startMailferry({ legacy, legacyExtra: { patience: 0.1 } });
  first = await mailferry.client(user);
  await first.ok("SELECT INBOX");
  await waitUntil("all is here", async () => (await stageOf(mailferry, user)) === "complete");
});
afterEach(async () => {
  await mailferry?.close();
  await odd?.close();
});

function stall(): void {
  odd.behave({
    answer: (call) => !/^(CAPABILITY|LOGIN|NAMESPACE|ID)$/.test(call.name) && held.push(call) > 0,
  });
}

function goOn(): void {
  odd.behave({ answer: () => false });
  for (const { connection } of held) connection.end();
}

const told = (lines: readonly Buffer[]): string => lines.map((line) => line.toString("latin1")).join("\n");

it("is answered for from here: names, mailboxes, numbers and messages", async () => {
  stall();
  expect(told((await first.ok("NOOP")).untagged)).toBe("");
  const second = await mailferry.client(user);
  expect(told((await second.ok('LIST "" "*"')).untagged)).toContain("Archive");
  expect(told((await second.ok('LSUB "" "*"')).untagged)).toContain("Archive");
  expect(told((await second.ok("SELECT INBOX")).untagged)).toContain("* 3 EXISTS");
  expect(told((await second.ok("STATUS Archive (MESSAGES UIDNEXT)")).untagged)).toContain(
    "MESSAGES 2 UIDNEXT 10",
  );
  expect((await second.ok("UID FETCH 1:* (FLAGS BODY.PEEK[])")).untagged).toHaveLength(3);
  expect(told((await second.ok("UID SEARCH SUBJECT Letter")).untagged)).toBe("* SEARCH 1 2 3");
  expect(told((await second.ok("EXAMINE Archive")).untagged)).toContain("* 2 EXISTS");
  expect(held.map(({ name }) => name).join()).toMatch(/NOOP|SELECT|EXAMINE/);
});

it("is asked again by itself: what has come meanwhile is shown as soon as it answers", async () => {
  stall();
  await first.ok("NOOP");
  odd.mailboxes.get("INBOX")!.messages.push(oddMessage(4));
  odd.mailboxes.get("INBOX")!.uidNext = 5;
  await first.ok("NOOP");
  goOn();
  await waitUntil("the new message is there", async () =>
    /\* 4 EXISTS/.test(told((await first.ok("NOOP")).untagged)),
  );
  expect((await first.ok("UID FETCH 4 (BODY.PEEK[])")).untagged).toHaveLength(1);
});

it("is waited for where nothing but it can tell", async () => {
  odd.behave({ answer: (call) => /^(SELECT|EXAMINE|NOOP)$/.test(call.name) && held.push(call) > 0 });
  odd.mailboxes.set("New", oddMailbox([oddMessage(7)], 3_000));
  const second = await mailferry.client(user);
  await waitUntil("it is listed", async () => (await second.ok('LIST "" New')).untagged.length === 1);
  const selecting = second.ok("SELECT New");
  await waitUntil("it is asked for", () => held.some(({ args }) => args.includes("New")));
  // Whose patience is over after that.
  await first.ok("NOOP");
  goOn();
  expect(told((await selecting).untagged)).toContain("* 1 EXISTS");
});

it("has the only word on passwords, as long as it can be reached", async () => {
  const login = async (password: string): Promise<string> => {
    const client = await connectImap({ port: mailferry.port("imap") });
    const { status, text } = await client.command(`LOGIN ${user} "${password}"`);
    client.close();
    return `${status} ${text}`;
  };
  const hashOf = async (): Promise<boolean> =>
    (await runCli(["cutover", "-c", mailferry.configFile, "--dry-run", user])).code === 0;
  await waitUntil("the password is kept", hashOf);
  await mailferry.restart();
  odd.behave({
    answer({ connection, tag, name }) {
      if (name === "LOGIN") connection.say(`${tag} NO [UNAVAILABLE] one moment please\r\n`);
      return name === "LOGIN";
    },
  });
  expect(await login(oddPassword)).toMatch(/^NO \[UNAVAILABLE\]/);
  await odd.close();
  expect(await login("wrong")).toMatch(/^NO/);
  expect(await login(oddPassword)).toMatch(/^OK/);
});
