/** On a real Mailutils, which writes UIDLs into messages when a POP3 session ends. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import { openMarked } from "../../src/legacy/pop3-marked.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { datedMail } from "../helpers/legacy-server.ts";
import { type Mailutils, startMailutils } from "../helpers/mailutils.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "anna";

let imap: ImapClient;
let server: Mailutils;
let opened = 0;

beforeEach(async () => {
  opened = 0;
  server = await startMailutils({ users: [user] });
  imap = await server.client(user);
  for (const subject of ["one", "two two", "three and more"])
    await imap.ok("APPEND INBOX ", datedMail(subject, subject));
  await imap.ok("SELECT INBOX");
  await imap.ok("UNSELECT");
});
afterEach(async () => {
  imap.close();
  await server.close();
});

function openThere(): Promise<Pop3Session> {
  opened++;
  return openMaildrop(server.ports.pop3, user);
}

async function changeStraight(...commands: readonly string[]): Promise<void> {
  await imap.ok("SELECT INBOX");
  for (const command of commands) await imap.ok(command);
  await imap.ok("UNSELECT");
}

it("a message that IMAP changes or expunges during the session is not there once more", async () => {
  const session = await openMarked(openThere, (work) => work());
  expect([...(await session.uidls()).keys()]).toEqual([1, 2, 3]);
  expect(opened).toBe(1);
  await imap.ok("APPEND INBOX ", datedMail("four", "four"));
  expect((await session.top(3, 0)).toString()).toContain("Subject: three and more");
  expect(opened).toBe(2);
  // What has come since is left for the next one.
  expect([...(await session.list()).keys()]).toEqual([1, 2, 3]);
  await changeStraight("STORE 1 +FLAGS (\\Seen)", "STORE 2 +FLAGS (\\Deleted)", "EXPUNGE");
  await session.quit();
  const files = readdirSync(join(server.mailboxOf(user), "cur"));
  const told = files.map((name) => /u=(\d+):2,(\w*)/.exec(name)?.slice(1).join(" "));
  expect(told.toSorted()).toEqual(["1 S", "3 ", "4 "]);
});

it("no number is taken for another message than it was told for", async () => {
  const session = await openMarked(openThere, (work) => work());
  await changeStraight("STORE 1 +FLAGS (\\Deleted)", "EXPUNGE");
  await expect(session.remove(2)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  session.close();
  await changeStraight();
  expect((await imap.ok("STATUS INBOX (MESSAGES)")).untagged.join("")).toContain("MESSAGES 2");
});
