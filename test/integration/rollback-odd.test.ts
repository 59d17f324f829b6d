/** Rollbacks in which something has gone wrong before: here, at the legacy server, or in between. */
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

const mail = (name: string): Buffer =>
  Buffer.from(
    `From: a@example.com\r\nMessage-ID: <${name}@example.com>\r\nSubject: ${name}\r\nDate: Mon, 02 Mar 2020 10:00:00 +0000\r\n\r\n${name}\r\n`,
  );

function cli({ configFile }: Mailferry, command: string): ReturnType<typeof runCli> {
  return runCli([command, "-c", configFile, user]);
}

async function rollBack(mailferry: Mailferry): Promise<string> {
  const { stdout, stderr, code } = await cli(mailferry, "rollback");
  expect(stderr + stdout).toContain("alice: the legacy server's again");
  expect(code).toBe(0);
  return stdout;
}

async function uidsOf(client: ImapClient, criteria = "ALL", mailbox = "INBOX"): Promise<number[]> {
  await client.ok(`SELECT ${mailbox}`);
  const { untagged } = await client.ok(`UID SEARCH ${criteria}`);
  return (/\* SEARCH(.*)/.exec(untagged.join("\n"))?.[1]?.match(/\d+/g) ?? []).map(Number);
}

async function namesOf(client: ImapClient): Promise<string[]> {
  const { untagged } = await client.ok('LIST "" *');
  return untagged
    .map((line) => line.toString("latin1").replace(/^.*?\) "\." "?(.*?)"?(\r\n)?$/, "$1"))
    .sort();
}

async function startCutOver(
  inbox = 20,
): Promise<{ legacy: Dovecot; mailferry: Mailferry; client: ImapClient; straight: ImapClient }> {
  const legacy = await startDovecot({ users: [user] });
  onTestFinished(() => legacy.close());
  const straight = await legacy.client(user);
  for (const name of ["Work", "Plans"]) {
    await straight.ok(`CREATE ${name}`);
    for (let index = 0; index < 5; index++)
      await straight.ok(`APPEND ${name} (\\Seen) `, mail(`${name}-${index}`));
  }
  for (let index = 0; index < inbox; index++) await straight.ok("APPEND INBOX ", mail(`inbox-${index}`));
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user);
  const told = await cli(mailferry, "cutover");
  expect(told.stderr + told.stdout).toContain("alice: local");
  return { legacy, mailferry, client, straight };
}

async function filesIn(mailferry: Mailferry): Promise<string[]> {
  const all = await readdir(mailferry.dataDir, { recursive: true });
  const cur = all.find((path) => path.endsWith("Maildir/cur")) ?? "";
  return (await readdir(join(mailferry.dataDir, cur)))
    .sort()
    .map((name) => join(mailferry.dataDir, cur, name));
}

it("a client hears at the legacy server of what has changed here since its last visit", async () => {
  const { mailferry, client, straight } = await startCutOver();
  await client.ok("SELECT INBOX");
  for (let round = 0; round < 40; round++)
    await client.ok(`STORE 1 ${round % 2 ? "-" : "+"}FLAGS (\\Flagged)`);
  const { untagged: status } = await client.ok("STATUS INBOX (HIGHESTMODSEQ)");
  const visited = /HIGHESTMODSEQ (\d+)/.exec(status.join("\n"))?.[1];
  await client.ok("UID STORE 5 +FLAGS (\\Answered)");
  await client.ok("UID STORE 6 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await rollBack(mailferry);
  await straight.ok("ENABLE QRESYNC");
  await straight.ok("SELECT INBOX");
  const { untagged } = await straight.ok(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${visited} VANISHED)`);
  expect(untagged.join("\n")).toMatch(/UID 5 /);
  expect(untagged.join("\n")).toMatch(/VANISHED \(EARLIER\) .*\b6\b/);
});

it("messages that were lost here stay at the legacy server", async () => {
  const { mailferry, client, straight } = await startCutOver(60);
  client.close();
  await mailferry.stop();
  for (const path of await filesIn(mailferry)) await rm(path);
  await mailferry.start();
  const again = await mailferry.client(user);
  await again.ok("SELECT INBOX");
  expect(await rollBack(mailferry)).toContain("INBOX: 60 messages are there that are missing here");
  expect(await uidsOf(straight)).toHaveLength(60);
});

it("one that was brought over and lost here stays there, and one that is deleted after the next cutover goes", async () => {
  const { mailferry, client, straight } = await startCutOver();
  client.close();
  await straight.ok("APPEND INBOX ", mail("late"));
  await mailferry.restart();
  const again = await mailferry.client(user);
  await expect.poll(() => uidsOf(again, "SUBJECT late"), { timeout: 15_000 }).toHaveLength(1);
  const [late] = await uidsOf(again, "SUBJECT late");
  const files = await filesIn(mailferry);
  await rm(files.at(-1) ?? "");
  await rm(files[4] ?? "");
  for (const lost of [late, 5]) {
    const reading = await mailferry.client(user);
    await reading.ok("SELECT INBOX");
    await reading.command(`UID FETCH ${lost} BODY.PEEK[]`).catch(() => undefined);
  }
  await rollBack(mailferry);
  expect(await uidsOf(straight, "SUBJECT late")).toHaveLength(1);
  expect(await uidsOf(straight)).toContain(5);
  expect((await cli(mailferry, "migrate")).stdout).toContain("complete");
  const once = await cli(mailferry, "cutover");
  expect(once.stderr + once.stdout).toContain("alice: local");
  const third = await mailferry.client(user);
  expect(await uidsOf(third)).toContain(5);
  await third.ok("UID STORE 5 +FLAGS (\\Deleted)");
  await third.ok("EXPUNGE");
  await rollBack(mailferry);
  expect(await uidsOf(straight)).not.toContain(5);
});

it("a legacy server that was put back from a backup is not written to", async () => {
  const legacy = await startDovecot({ users: [user] });
  onTestFinished(() => legacy.close());
  const first = await legacy.client(user);
  for (let index = 0; index < 10; index++) await first.ok("APPEND INBOX ", mail(`inbox-${index}`));
  first.close();
  await legacy.stop("gently");
  const backup = await mkdtemp(join(tmpdir(), "mailferry-backup-"));
  onTestFinished(() => rm(backup, { recursive: true, force: true }));
  await cp(legacy.maildirOf(user), backup, { recursive: true });
  await legacy.start();
  const second = await legacy.client(user);
  for (let index = 0; index < 4; index++) await second.ok("APPEND INBOX ", mail(`newer-${index}`));
  second.close();
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user);
  expect((await cli(mailferry, "cutover")).stdout).toContain("alice: local");
  await legacy.stop("gently");
  await legacy.adoptMaildir(user, backup);
  await legacy.start();
  const third = await legacy.client(user);
  for (const since of [0, 5]) {
    for (let index = 0; index < since; index++) await third.ok("APPEND INBOX ", mail(`since-${index}`));
    const there = await uidsOf(third);
    const told = await cli(mailferry, "rollback");
    expect(told.code).toBe(1);
    expect(told.stderr).toMatch(
      since === 0
        ? /INBOX: UIDNEXT there is 11, and was 15 at the cutover/
        : /INBOX: UID 1\d is another message there/,
    );
    expect(await uidsOf(third)).toEqual(there);
    expect(await uidsOf(client)).toHaveLength(14);
  }
});

it("where UIDVALIDITY has changed there, it is told what could not be carried over", async () => {
  const { mailferry, client, straight } = await startCutOver();
  await client.ok("SELECT Work");
  await client.ok("UID STORE 2 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await straight.ok("RENAME Work Before");
  await straight.ok("CREATE Work");
  await straight.ok("SELECT Before");
  await straight.ok("COPY 1:5 Work");
  await straight.ok("CLOSE");
  const told = await rollBack(mailferry);
  expect(told).toMatch(/Work: its UIDVALIDITY there is another one now/);
  expect(told).toContain("Work: 1 messages are there that are missing here");
});

it("names may be swapped, taken, odd, and made and deleted", async () => {
  const { mailferry, client, straight } = await startCutOver();
  for (const name of ["one", "one.x", "two", "two.x", "par", "par.kid", '"a b"']) {
    await straight.ok(`CREATE ${name}`);
    await straight.ok(`APPEND ${name} `, mail(`in-${name.replaceAll('"', "")}`));
  }
  await rollBack(mailferry);
  expect((await cli(mailferry, "migrate")).stdout).toContain("complete");
  expect((await cli(mailferry, "cutover")).stdout).toContain("alice: local");
  await client.ok("RENAME one passing");
  await client.ok("RENAME two one");
  await client.ok("RENAME passing two");
  await client.ok('RENAME par "p a r&-"');
  await client.ok('DELETE "a b"');
  await client.ok('CREATE "a b"');
  await client.ok("CREATE Short");
  await client.ok("SUBSCRIBE Short");
  await client.ok("DELETE Short");
  await rollBack(mailferry);
  expect(await namesOf(straight)).toEqual(await namesOf(client));
  expect(await uidsOf(straight, "SUBJECT in-one", "two")).toHaveLength(1);
  expect(await uidsOf(straight, "SUBJECT in-two.x", "one.x")).toHaveLength(1);
  expect(await uidsOf(straight, "ALL", '"a b"')).toEqual([]);
});

it("what lies below a mailbox that was deleted here stays as it is", async () => {
  const { mailferry, client, straight } = await startCutOver();
  await straight.ok("CREATE Par");
  for (const name of ["Par.kid"]) {
    await straight.ok(`CREATE ${name}`);
    for (let index = 0; index < 3; index++) await straight.ok(`APPEND ${name} `, mail(`kid-${index}`));
    await straight.ok(`SELECT ${name}`);
    await straight.ok("UID STORE 1 +FLAGS (\\Deleted)");
    await straight.ok("EXPUNGE");
    await straight.ok("CLOSE");
  }
  await rollBack(mailferry);
  expect((await cli(mailferry, "migrate")).stdout).toContain("complete");
  expect((await cli(mailferry, "cutover")).stdout).toContain("alice: local");
  const statusOf = async (): Promise<string> =>
    (await straight.ok("STATUS Par.kid (MESSAGES UIDVALIDITY UIDNEXT)")).untagged.join("");
  const before = await statusOf();
  await client.ok("DELETE Par");
  await rollBack(mailferry);
  expect(await statusOf()).toBe(before);
  expect(await uidsOf(straight, "ALL", "Par.kid")).toEqual([2, 3]);
  const left = (await namesOf(straight)).filter((name) => name.startsWith("Par") && name !== "Par");
  expect(left).toEqual(["Par.kid"]);
});

it("a mailbox that was deleted here and has new mail there is kept, under another name if need be", async () => {
  const { mailferry, client, straight } = await startCutOver();
  await straight.ok("APPEND Work ", mail("late-work"));
  await client.ok("DELETE Work");
  await client.ok("RENAME Plans Work");
  expect(await rollBack(mailferry)).toContain("deleted here, and kept there");
  expect(await uidsOf(straight, "SUBJECT Plans-1", "Work")).toHaveLength(1);
  const kept = (await namesOf(straight)).find((name) => name.startsWith("Work-kept-")) ?? "";
  expect(await uidsOf(straight, "SUBJECT late-work", kept)).toHaveLength(1);
});

it("a name that others have taken there is refused with both names, and mail comes over as before", async () => {
  const { mailferry, client, straight } = await startCutOver();
  await straight.ok("CREATE Ideas");
  await client.ok("RENAME Plans Ideas");
  const told = await cli(mailferry, "rollback");
  expect(told.code).toBe(1);
  expect(told.stderr).toContain("Plans cannot be renamed to Ideas there");
  expect(await namesOf(straight)).toEqual(["INBOX", "Ideas", "Plans", "Work"]);
  await straight.ok("APPEND INBOX ", mail("late"));
  await mailferry.restart();
  const again = await mailferry.client(user);
  await expect.poll(() => uidsOf(again, "SUBJECT late"), { timeout: 15_000 }).toHaveLength(1);
});

it("a keyword that the legacy server refuses is named, and all else goes back", async () => {
  const { mailferry, client, straight } = await startCutOver();
  const keyword = "k".repeat(60);
  await client.ok("SELECT INBOX");
  await client.ok(`STORE 1 +FLAGS (${keyword} \\Flagged short)`);
  await client.ok(`APPEND INBOX (${keyword} short) `, mail("own"));
  expect(await rollBack(mailferry)).toContain(`INBOX: keywords that it cannot keep: ${keyword}`);
  expect(await uidsOf(straight, "KEYWORD short")).toHaveLength(2);
  expect(await uidsOf(straight, "FLAGGED")).toEqual([1]);
});

it("mail that waits there costs few UIDs", async () => {
  const { mailferry, client, straight } = await startCutOver();
  for (let index = 0; index < 60; index++) await straight.ok("APPEND INBOX ", mail(`late-${index}`));
  await client.ok("APPEND INBOX ", mail("own"));
  await rollBack(mailferry);
  const { untagged } = await straight.ok("STATUS INBOX (UIDNEXT)");
  expect(Number(/UIDNEXT (\d+)/.exec(untagged.join())?.[1])).toBeLessThan(400);
});
