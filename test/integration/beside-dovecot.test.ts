/** A stock Dovecot on the Maildir of a local account, at work at the same time. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Dovecot, mailOwner, startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { createAccount, type Mailferry, plainListeners, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "bob";
const password = "pass-bob";

describe("a Dovecot beside us on one Maildir", () => {
  let mailferry: Mailferry;
  let dovecot: Dovecot;

  beforeAll(async () => {
    // What both write is one user's.
    mailferry = await startMailferry({
      runAs: mailOwner,
      extra: { listen: plainListeners, tls: undefined },
    });
    await createAccount(mailferry, user, password);
    (await mailferry.client(user, password)).close();
    const maildir = join(mailferry.dataDir, "mail", "_", user, "Maildir");
    dovecot = await startDovecot({
      users: [user],
      passwordOf: () => password,
      mailLocation: `maildir:${maildir}`,
    });
  });
  afterAll(async () => {
    await dovecot?.close();
    await mailferry?.close();
  });

  const here = (): Promise<ImapClient> => mailferry.client(user, password);
  const there = (): Promise<ImapClient> => dovecot.client(user);
  const lines = async (client: ImapClient, command: string): Promise<string[]> =>
    (await client.ok(command)).untagged.map((line) => line.toString("latin1"));
  const append = async (
    client: ImapClient,
    subject: string,
    flags = "",
    mailbox = "INBOX",
  ): Promise<number> => {
    const bytes = Buffer.from(`Subject: ${subject}\r\n\r\ntext of ${subject}\r\n`);
    const { text } = await client.ok(`APPEND ${mailbox} (${flags}) `, bytes);
    return Number(/APPENDUID \d+ (\d+)/.exec(text)?.[1]);
  };
  const subjects = async (client: ImapClient): Promise<[number, string][]> =>
    (await lines(client, "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).flatMap((line) => {
      const found = /UID (\d+) .*Subject: ([^\r]*)\r\n/s.exec(line);
      return found?.[2] === undefined ? [] : [[Number(found[1]), found[2]] as [number, string]];
    });
  /** UIDs are the same, and all else that a client sees. */
  const agree = async (): Promise<void> => {
    const [one, other] = [await here(), await there()];
    const [ours, theirs] = [await takeSnapshot(one), await takeSnapshot(other)];
    expect(diffSnapshots(ours, theirs, { ignore: ["RECENT", "LSUB"] })).toEqual([]);
    one.close();
    other.close();
  };

  it("gives a message the UID that it has here, and the other way about, told at the next NOOP", async () => {
    const [one, other] = [await here(), await there()];
    for (const client of [one, other]) await client.ok("SELECT INBOX");
    const uids = [
      await append(one, "a"),
      await append(other, "b"),
      await append(other, "c"),
      await append(one, "d"),
    ];
    expect(uids).toEqual([1, 2, 3, 4]);
    const expected = ["a", "b", "c", "d"].map((subject, index) => [index + 1, subject]);
    for (const client of [one, other]) {
      await client.ok("NOOP");
      expect(await subjects(client)).toEqual(expected);
      client.close();
    }
    await agree();
  });

  it("tells flags and keywords that the other has changed, and what the other has expunged", async () => {
    const [one, other] = [await here(), await there()];
    for (const client of [one, other]) await client.ok("SELECT INBOX");
    await other.ok("UID STORE 1:2 +FLAGS (\\Flagged $Label1)");
    expect((await lines(one, "NOOP")).filter((line) => line.includes("FETCH"))).toEqual([
      expect.stringMatching(/^\* 1 FETCH \(.*FLAGS \(\\Flagged .*\$Label1/),
      expect.stringMatching(/^\* 2 FETCH \(.*FLAGS \(\\Flagged .*\$Label1/),
    ]);
    await one.ok("UID STORE 2:3 +FLAGS (\\Seen $Label2)");
    await other.ok("NOOP");
    expect(await lines(other, "UID FETCH 2 (FLAGS)")).toEqual([
      expect.stringMatching(/FLAGS \(\\Flagged \\Seen .*\$Label1 \$Label2\)/),
    ]);
    await other.ok("UID STORE 1 +FLAGS (\\Deleted)");
    await other.ok("EXPUNGE");
    expect(await lines(one, "NOOP")).toContain("* 1 EXPUNGE");
    await one.ok("UID STORE 4 +FLAGS (\\Deleted)");
    await one.ok("EXPUNGE");
    expect(await lines(other, "NOOP")).toContain("* 3 EXPUNGE");
    for (const client of [one, other]) client.close();
    await agree();
  });

  it("tells a session in IDLE what the other has done", async () => {
    const [one, other] = [await here(), await there()];
    await one.ok("SELECT INBOX");
    await other.ok("SELECT INBOX");
    const idle = await one.idle();
    const uid = await append(other, "idle");
    await idle.until(/^\* 3 EXISTS/, 10_000);
    await other.ok(`UID STORE ${uid} +FLAGS (\\Answered)`);
    await idle.until(/^\* 3 FETCH .*\\Answered/, 10_000);
    await idle.done();
    for (const client of [one, other]) client.close();
    await agree();
  });

  it("gives no UID twice where both add mail at once, and all of it is there", async () => {
    const rounds = 25;
    const [one, other, second] = [await here(), await there(), await there()];
    for (const client of [one, other, second]) await client.ok("SELECT INBOX");
    const before = await subjects(one);
    const added = new Map<number, string>();
    const run = async (client: ImapClient, name: string): Promise<void> => {
      for (let i = 0; i < rounds; i++) {
        const uid = await append(client, `${name}${i}`);
        expect(added.has(uid)).toBe(false);
        added.set(uid, `${name}${i}`);
        if (i % 5 === 4) await client.ok("NOOP");
      }
    };
    await Promise.all([run(one, "here"), run(other, "there"), run(second, "too")]);
    const expected = [...before, ...[...added].sort(([a], [b]) => a - b)];
    for (const client of [other, one, second]) {
      await client.ok("NOOP");
      expect(await subjects(client)).toEqual(expected);
      client.close();
    }
    await agree();
  });

  it("has given UIDs and changed flags while we were not there, and they stay", async () => {
    const one = await here();
    await one.ok("SELECT INBOX");
    const known = (await subjects(one)).length;
    one.close();
    await mailferry.stop();
    const other = await there();
    await other.ok("SELECT INBOX");
    const uids = [await append(other, "away1"), await append(other, "away2", "\\Draft")];
    await other.ok("STORE 1:2 -FLAGS (\\Flagged)");
    await other.ok("STORE 1 +FLAGS (\\Draft $Away)");
    await other.ok("STORE 3 +FLAGS (\\Deleted)");
    await other.ok("EXPUNGE");
    other.close();
    await mailferry.start();
    const again = await here();
    await again.ok("SELECT INBOX");
    expect((await subjects(again)).slice(-2)).toEqual([
      [uids[0], "away1"],
      [uids[1], "away2"],
    ]);
    expect(await subjects(again)).toHaveLength(known + 1);
    again.close();
    await agree();
  });

  it("agrees about copies and moves of what either has delivered", async () => {
    const [one, other] = [await here(), await there()];
    await one.ok("CREATE Other");
    await one.ok("SELECT INBOX");
    await one.ok("COPY 1:5 Other");
    await one.ok("MOVE 6:9 Other");
    await other.ok("SELECT INBOX");
    await other.ok("COPY 1:5 Other");
    await other.ok("MOVE 6:9 Other");
    for (const client of [one, other]) {
      expect((await lines(client, "STATUS Other (MESSAGES UIDNEXT)"))[0]).toContain("MESSAGES 18 UIDNEXT 19");
      client.close();
    }
    await agree();
  });

  it("goes on where we have been, once we are gone", async () => {
    const client = await here();
    const ours = await takeSnapshot(client);
    client.close();
    expect(await mailferry.stop()).toBe(0);
    const other = await there();
    expect(diffSnapshots(ours, await takeSnapshot(other), { ignore: ["RECENT", "LSUB"] })).toEqual([]);
    other.close();
    expect((await dovecot.errors()).filter((line) => !line.includes("UID 0"))).toEqual([]);
  });
});
