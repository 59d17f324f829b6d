/** Mail that another agent drops into a local account's Maildir: it gets a UID and appears, once. */
import { mkdir, readdir, rename, rm, rmdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { createAccount, type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "bob";
const password = "pass-bob";

describe("mail dropped into a local account's Maildir", () => {
  let mailferry: Mailferry;
  let maildir: string;
  let names = 0;

  beforeAll(async () => {
    mailferry = await startMailferry({});
    await createAccount(mailferry, user, password);
    maildir = join(mailferry.dataDir, "mail", "_", user, "Maildir");
  });
  afterAll(() => mailferry?.close());

  const session = (): Promise<ImapClient> => mailferry.client(user, password);
  const lines = async (client: ImapClient, command: string): Promise<string[]> =>
    (await client.ok(command)).untagged.map((line) => line.toString("latin1"));
  /** As a delivery agent does: written aside, with the line ends of this system, then renamed. */
  const drop = async (text: string, where = "new", info = ""): Promise<string> => {
    const name = `${1_700_000_000 + ++names}.M${names}P1.there`;
    await writeFile(join(maildir, "tmp", name), text);
    await utimes(join(maildir, "tmp", name), 1_600_000_000, 1_600_000_000);
    await rename(join(maildir, "tmp", name), join(maildir, where, name + info));
    return name;
  };

  it("is told to a session in IDLE", async () => {
    const client = await session();
    await client.ok("SELECT INBOX");
    const idle = await client.idle();
    await drop("Subject: one\nX: y\n\nfirst\nsecond\n");
    await idle.until(/^\* 1 EXISTS/, 5_000);
    await idle.done();
    const [fetched] = await lines(client, "FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])");
    expect(fetched).toBe(
      '* 1 FETCH (UID 1 FLAGS (\\Recent) INTERNALDATE "13-Sep-2020 12:26:40 +0000" RFC822.SIZE 37 ' +
        "BODY[] {37}\r\nSubject: one\r\nX: y\r\n\r\nfirst\r\nsecond\r\n)",
    );
    expect(await readdir(join(maildir, "new"))).toEqual([]);
    client.close();
  });

  it("is told at NOOP and by STATUS, in the order of its arrival", async () => {
    const client = await session();
    await client.ok("CREATE Other");
    await client.ok("SELECT Other");
    for (const subject of ["two", "three"]) await drop(`Subject: ${subject}\n\n`);
    expect((await lines(client, "STATUS INBOX (MESSAGES UIDNEXT)"))[0]).toContain("MESSAGES 3 UIDNEXT 4");
    await client.ok("SELECT INBOX");
    await drop("Subject: four\r\n\r\nlines that end as they are sent\r\n");
    await client.ok("NOOP");
    expect(await lines(client, "FETCH 2:4 (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).toEqual([
      "* 2 FETCH (UID 2 RFC822.SIZE 16 BODY[HEADER.FIELDS (SUBJECT)] {16}\r\nSubject: two\r\n\r\n)",
      "* 3 FETCH (UID 3 RFC822.SIZE 18 BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: three\r\n\r\n)",
      "* 4 FETCH (UID 4 RFC822.SIZE 50 BODY[HEADER.FIELDS (SUBJECT)] {17}\r\nSubject: four\r\n\r\n)",
    ]);
    client.close();
  });

  it("is taken from cur/, too, where a mail reader has put it, with its flags", async () => {
    await mailferry.stop();
    await drop("Subject: read already\n\n", "cur", ":2,FS");
    await mailferry.start();
    const client = await session();
    await client.ok("SELECT INBOX");
    expect(await lines(client, "FETCH 5 (UID FLAGS)")).toEqual([
      "* 5 FETCH (UID 5 FLAGS (\\Flagged \\Seen \\Recent))",
    ]);
    client.close();
  });

  it("leaves what cannot be read, and takes what follows", async () => {
    await mkdir(join(maildir, "new", "1.folder"));
    await drop("Subject: six\n\n");
    const client = await session();
    expect((await client.ok("SELECT INBOX")).untagged.map(String)).toContain("* 6 EXISTS");
    expect(await readdir(join(maildir, "new"))).toEqual(["1.folder"]);
    expect(await mailferry.log()).toContain("mail that was dropped here cannot be read");
    client.close();
  });

  it("waits where somebody else gives UIDs, and nobody is kept from reading", async () => {
    const [lock, client] = [join(maildir, "dovecot-uidlist.lock"), await session()];
    // Of another machine, for all that anybody knows.
    await writeFile(lock, "1:elsewhere");
    await drop("Subject: seven\n\n");
    expect((await client.ok("SELECT INBOX")).untagged.map(String)).toContain("* 6 EXISTS");
    await rm(lock);
    expect(await lines(client, "NOOP")).toContain("* 7 EXISTS");
    client.close();
  });

  it("is there once whenever the server is killed", async () => {
    for (let round = 0; round < 5; round++) {
      const watching = await session();
      await watching.ok("SELECT INBOX");
      const idle = await watching.idle();
      for (let i = 0; i < 120; i++) await drop(`Subject: kill ${round}.${i}\n\n${"text\n".repeat(50)}`);
      await idle.until(/^\* \d+ EXISTS/, 5_000);
      await delay(round * 13);
      await mailferry.kill();
      await mailferry.start();
    }
    const client = await session();
    await client.ok("SELECT INBOX");
    const told = await lines(client, "FETCH 8:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
    const subjects = told.map((line) => /kill (\d+\.\d+)/.exec(line)?.[1] ?? line);
    const dropped = Array.from({ length: 600 }, (_, at) => `${Math.floor(at / 120)}.${at % 120}`);
    expect(subjects.toSorted()).toEqual(dropped.toSorted());
    expect(await readdir(join(maildir, "new"))).toEqual(["1.folder"]);
    client.close();
  });

  it("another Dovecot on the Maildir agrees", async () => {
    const client = await session();
    const here = await takeSnapshot(client);
    client.close();
    expect(await mailferry.stop()).toBe(0);
    await rmdir(join(maildir, "new", "1.folder"));
    const second = await startDovecot({ users: [user], started: false });
    try {
      await second.adoptMaildir(user, maildir);
      await second.start();
      const there = await takeSnapshot(await second.client(user));
      expect(diffSnapshots(here, there, { ignore: ["RECENT"] })).toEqual([]);
    } finally {
      await second.close();
    }
  });
});

describe("mail dropped into the Maildir of an account that has a legacy server", () => {
  it("waits while that has the last word, is there from the cutover on, and once after a rollback", async () => {
    const legacy = await startDovecot({ users: [user], protocols: ["imap"] });
    onTestFinished(() => legacy.close());
    const mailferry = await startMailferry({ legacy });
    onTestFinished(() => mailferry.close());
    const straight = await legacy.client(user);
    for (const name of ["a", "b"])
      await straight.ok("APPEND INBOX ", Buffer.from(`Subject: ${name}\r\n\r\n`));
    await straight.ok("CREATE Work");
    await straight.ok("APPEND Work ", Buffer.from("Subject: w\r\n\r\n"));
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    const maildir = join(mailferry.dataDir, "mail", "_", user, "Maildir");
    const cli = async (command: string): Promise<void> => {
      const { code, stdout, stderr } = await runCli([command, "-c", mailferry.configFile, user]);
      expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
    };
    const drop = (name: string, sub: string): Promise<void> =>
      writeFile(join(maildir, sub, name), `Subject: ${name[0]}\n\nunix lines\n`);
    const subjects = async (session: ImapClient): Promise<string[]> =>
      (await session.ok("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).untagged.map((line) =>
        String(line).replace(/^.*UID (\d+) .*Subject: (\w+).*$/s, "$1 $2"),
      );
    await drop("c.there", "new");
    await drop("d.there:2,S", "cur");
    await client.ok("NOOP");
    expect(await subjects(client)).toEqual(["1 a", "2 b"]);
    await cli("migrate");
    await cli("cutover");
    await client.ok("NOOP");
    const taken = await subjects(client);
    expect(taken.map((line) => line.split(" ")[1])).toEqual(["a", "b", "c", "d"]);
    await drop("x.there", ".Work/new");
    const status = (await client.ok("STATUS Work (MESSAGES RECENT)")).untagged.map(String);
    expect(status).toContain("* STATUS Work (MESSAGES 2 RECENT 1)");
    await drop("e.there", "new");
    await cli("rollback");
    await client.ok("NOOP");
    const here = await subjects(client);
    expect(here.slice(0, 4)).toEqual(taken);
    expect(here[4]).toMatch(/ e$/);
    await straight.ok("SELECT INBOX");
    expect(await subjects(straight)).toEqual(here);
    client.close();
    await mailferry.restart();
    const again = await mailferry.client(user);
    await cli("migrate");
    await cli("cutover");
    await again.ok("SELECT INBOX");
    expect(await subjects(again)).toEqual(here);
    again.close();
    straight.close();
  });
});
