/** NUL in a message, which IMAP cannot carry: shown as Dovecot shows it, by whichever way it came and goes. */
import { mkdirSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type ServedMessage, startAlteringPop3 } from "../helpers/altering-pop3.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import {
  createAccount,
  type Mailferry,
  plainListeners,
  runCli,
  startMailferry,
} from "../helpers/mailferry.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";
const password = "pass-alice";
const text = "Subject: nul \0 here\r\nX-Other: a\r\n\r\nbody \0\0 end\r\n";
const shown = text.replaceAll("\0", "\x80");

/** As a delivery agent does it. */
function putInto(maildir: string): void {
  for (const folder of ["cur", "new", "tmp"]) mkdirSync(join(maildir, folder), { recursive: true });
  const [written, delivered] = ["tmp", "new"].map((folder) => join(maildir, folder, "1400000001.M1P1.host"));
  writeFileSync(String(written), text, "latin1");
  utimesSync(String(written), 1_400_000_001, 1_400_000_001);
  renameSync(String(written), String(delivered));
}

const items =
  "RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[]<5.20> BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODYSTRUCTURE";

async function answerOf(client: ImapClient): Promise<string> {
  await client.ok("SELECT INBOX");
  return (await client.ok(`FETCH 1 (${items})`)).untagged.map((line) => line.toString("latin1")).join("");
}

async function byPop3(mailferry: Mailferry, ...numbers: readonly number[]): Promise<string[]> {
  const session = await openMaildrop(mailferry.port("pop3"), user);
  const texts: string[] = [];
  for (const number of numbers) {
    const pieces: Buffer[] = [];
    await session.retrieve(number, (piece) => void pieces.push(Buffer.from(piece)) as undefined);
    texts.push(Buffer.concat(pieces).toString("latin1"));
    texts.push((await session.top(number, 1)).toString("latin1"));
  }
  await session.quit();
  return texts;
}

it("a local account shows it as Dovecot does", async () => {
  const dovecot = await startDovecot({ users: [user], started: false });
  onTestFinished(() => dovecot.close());
  putInto(dovecot.maildirOf(user));
  await dovecot.start();
  const mailferry = await startMailferry({ extra: { listen: plainListeners } });
  onTestFinished(() => mailferry.close());
  await createAccount(mailferry, user, password);
  const client = await mailferry.client(user, password);
  await client.ok("SELECT INBOX");
  putInto(join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await client.ok("NOOP");
  const here = await answerOf(client);
  expect(here).not.toContain("\0");
  expect(here).toContain(`BODY[] {${text.length}}\r\n${shown}`);
  expect(here).toBe(await answerOf(await dovecot.client(user)));
  expect(await byPop3(mailferry, 1)).toEqual([shown, shown]);
});

/** The second is not among those of IMAP. */
const known: ServedMessage = { uidl: "known", bytes: Buffer.from(text, "latin1") };
const strange: ServedMessage = {
  uidl: "strange",
  bytes: Buffer.from(text.replace("X-Other: a", "X-Other: b"), "latin1"),
};

it("by POP3 it is one byte, whether the old server gives the message or it is here", async () => {
  const dovecot = await startDovecot({ users: [user], protocols: ["imap"], started: false });
  onTestFinished(() => dovecot.close());
  putInto(dovecot.maildirOf(user));
  await dovecot.start();
  const pop3 = await startAlteringPop3([known, strange], { isPlain: true });
  onTestFinished(() => pop3.close());
  const mailferry = await startMailferry({
    legacy: dovecot,
    extra: { listen: plainListeners },
    legacyExtra: { pop3: { host: "127.0.0.1", port: pop3.port, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  const shownStrange = shown.replace("X-Other: a", "X-Other: b");
  const both = [shown, shown, shownStrange, shownStrange];
  expect(await byPop3(mailferry, 1, 2)).toEqual(both);
  await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(await byPop3(mailferry, 1, 2)).toEqual(both);
  pop3.messages.pop();
  expect(await byPop3(mailferry, 1)).toEqual([shown, shown]);
});

it("of a server that has POP3 alone it is what that gives, before and after the cutover", async () => {
  const pop3 = await startAlteringPop3([known], { isPlain: true });
  onTestFinished(() => pop3.close());
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", passwordOf: () => password, ports: { imap: 0 } },
    extra: { listen: plainListeners },
    legacyExtra: { imap: undefined, pop3: { host: "127.0.0.1", port: pop3.port, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  expect(await byPop3(mailferry, 1)).toEqual([text, text]);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  expect(await byPop3(mailferry, 1)).toEqual([text, text]);
  expect(await answerOf(await mailferry.client(user))).toContain(`BODY[] {${text.length}}\r\n${shown}`);
  expect((await runCli(["cutover", "-c", mailferry.configFile, user])).stdout).toContain("local");
  expect(await byPop3(mailferry, 1)).toEqual([text, text]);
});
