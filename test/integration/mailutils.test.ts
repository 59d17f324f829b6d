/** What a Mailutils does to mail, and what is made of it here (src/legacy/QUIRKS.md). */
import { expect, it, onTestFinished } from "vitest";
import type { ImapClient } from "../helpers/imap-client.ts";
import { datedMail } from "../helpers/legacy-server.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { type Mailutils, startMailutils } from "../helpers/mailutils.ts";
import { seenMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";

interface Pair {
  readonly legacy: Mailutils;
  readonly mailferry: Mailferry;
  /** Straight on the old server. */
  readonly straight: ImapClient;
  readonly through: ImapClient;
}

async function startPair(
  mails: readonly Buffer[],
  { storage = "maildir", pop3 = false }: { storage?: "maildir" | "mbox"; pop3?: boolean } = {},
): Promise<Pair> {
  const legacy = await startMailutils({ users: [user], storage });
  onTestFinished(() => legacy.close());
  const straight = await legacy.client(user);
  onTestFinished(() => straight.close());
  for (const mail of mails) await straight.ok("APPEND INBOX ", mail);
  await straight.ok("SELECT INBOX");
  await straight.ok("UNSELECT");
  const legacyExtra = pop3 ? { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } } : {};
  const mailferry = await startMailferry({ legacy, extra: { listen: plainListeners }, legacyExtra });
  onTestFinished(() => mailferry.close());
  const through = await mailferry.client(user);
  onTestFinished(() => through.close());
  return { legacy, mailferry, straight, through };
}

async function run(command: string, { mailferry }: Pair): Promise<string> {
  const { code, stdout, stderr } = await runCli([command, "-c", mailferry.configFile, user]);
  expect(code, stdout + stderr).toBe(0);
  return stdout;
}

const textOf = (responses: readonly Buffer[]): string =>
  responses.map((line) => line.toString("latin1")).join("\n");

it("what is appended has its flags there, too, though APPEND takes none", async () => {
  const { straight, through } = await startPair([]);
  const { text } = await through.ok("APPEND INBOX (\\Seen \\Draft) ", datedMail("a draft", "to be finished"));
  expect(text).toMatch(/^\[APPENDUID \d+ 1\]/);
  await straight.ok("SELECT INBOX");
  expect(textOf((await straight.ok("FETCH 1 FLAGS")).untagged)).toContain("FLAGS (\\Draft \\Seen)");
  await through.ok("SELECT INBOX");
  expect(textOf((await through.ok("FETCH 1 FLAGS")).untagged)).toContain("\\Draft");
});

it("a UIDL that is written into the message later makes it no other message", async () => {
  const pair = await startPair([datedMail("one", "1"), datedMail("two", "2")]);
  await run("migrate", pair);
  expect(await run("verify", pair)).not.toContain("writes itself");
  await seenMaildrop(pair.legacy.ports.pop3, user);
  await pair.through.ok("SELECT INBOX");
  expect(textOf((await pair.through.ok("FETCH 1 BODY[]")).untagged)).not.toContain("X-UIDL");
  const told = await run("verify", pair);
  expect(told).toContain("INBOX: 2 differ in header fields that the legacy server writes itself, only");
  expect(told).toMatch(/^equal$/m);
});

it("a message without a date keeps the one that was told first", async () => {
  const pair = await startPair([Buffer.from("Subject: no date\r\n\r\ntext\r\n")]);
  const date = async (): Promise<string> => {
    await pair.through.ok("SELECT INBOX");
    return textOf((await pair.through.ok("FETCH 1 INTERNALDATE")).untagged);
  };
  const first = await date();
  await run("migrate", pair);
  const told = await run("verify", pair);
  expect(await date()).toBe(first);
  expect(told).toMatch(/^equal$/m);
});

it("a mailbox that is emptied and filled again goes on, under its new UIDVALIDITY", async () => {
  const pair = await startPair([datedMail("one", "1"), datedMail("two", "2")]);
  const { straight, through } = pair;
  await run("migrate", pair);
  await through.ok("SELECT INBOX");
  await through.ok("STORE 1:2 +FLAGS (\\Deleted)");
  expect(textOf((await through.ok("EXPUNGE")).untagged)).toContain("* 1 EXPUNGE");
  await through.ok("NOOP");
  await straight.ok("APPEND INBOX ", datedMail("three", "3"));
  const other = await pair.mailferry.client(user);
  onTestFinished(() => other.close());
  const { untagged } = await other.ok("SELECT INBOX");
  expect(textOf(untagged)).toContain("* 1 EXISTS");
  const told = /UIDVALIDITY \d+/.exec(textOf(untagged))?.[0];
  expect(textOf((await straight.ok("SELECT INBOX")).untagged)).toContain(`[${told}]`);
  await run("migrate", pair);
  expect(await run("status", pair)).not.toContain("UIDVALIDITY");
});

it("text is found though the old server takes a UID for a number", async () => {
  const pair = await startPair(
    ["alpha", "beta", "gamma", "delta"].map((word) => datedMail(word, `${word} words`)),
  );
  const { straight, through } = pair;
  await straight.ok("SELECT INBOX");
  await straight.ok("STORE 1 +FLAGS (\\Deleted)");
  await straight.ok("EXPUNGE");
  await straight.ok("UNSELECT");
  await through.ok("SELECT INBOX");
  expect(textOf((await through.ok("UID SEARCH UID 3:4 BODY words")).untagged)).toContain("* SEARCH 3 4");
  expect(textOf((await through.ok("UID SEARCH UID 2:4 TEXT delta")).untagged)).toContain("* SEARCH 4");
});

it("a maildrop is matched though its messages grow by their UIDLs, and serves them from here", async () => {
  const pair = await startPair([datedMail("one", "1"), datedMail("two", "2")], { pop3: true });
  await run("migrate", pair);
  expect(await run("verify", pair)).toContain("POP3: 2 messages there, 2 here, 0 differences");
  const told = ({ uidl, sizeBytes }: { uidl: string; sizeBytes: number | undefined }) =>
    `${uidl} ${sizeBytes}`;
  const [there, here] = [
    await seenMaildrop(pair.legacy.ports.pop3, user),
    await seenMaildrop(pair.mailferry.port("pop3"), user),
  ];
  expect(here.map(told)).toEqual(there.map(told));
});

it("an mbox, whose messages have their flags in them, is carried whole", async () => {
  const pair = await startPair([datedMail("one", "1"), datedMail("two", "2")], { storage: "mbox" });
  const { straight, through } = pair;
  await run("migrate", pair);
  await through.ok("SELECT INBOX");
  await through.ok("STORE 2 +FLAGS (\\Seen \\Flagged)");
  await straight.ok("APPEND INBOX ", datedMail("three", "3"));
  await expect.poll(async () => textOf((await through.ok("NOOP")).untagged)).toContain("3 EXISTS");
  await through.ok("STORE 1 +FLAGS (\\Deleted)");
  await through.ok("EXPUNGE");
  await straight.ok("SELECT INBOX");
  const seen = textOf((await straight.ok("FETCH 1:* (UID FLAGS)")).untagged);
  expect(seen).toMatch(/UID 2 FLAGS \((?=.*\\Seen)(?=.*\\Flagged)/);
  expect(seen).not.toContain("UID 1 ");
  await straight.ok("UNSELECT");
  await run("migrate", pair);
  expect(await run("verify", pair)).toMatch(/^equal$/m);
});
