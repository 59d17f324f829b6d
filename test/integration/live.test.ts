/** What happens on the legacy server reaches the sessions here by itself. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

describe("IDLE through Mailferry", () => {
  let legacy: Dovecot;
  let mailferry: Mailferry;
  let straight: ImapClient;
  let through: ImapClient;

  beforeAll(async () => {
    legacy = await startDovecot({ users: [user], started: false });
    await fillAccount(legacy, user, plainAccount({ seed: 9, messages: 20, sizeBytes: 600, mailboxes: 2 }));
    await legacy.start();
    mailferry = await startMailferry({ legacy });
    straight = await legacy.client(user);
    through = await mailferry.client(user);
  });
  afterAll(async () => {
    await mailferry?.close();
    await legacy?.close();
  });

  it("tells of new mail, flags and expunges on the legacy server", async () => {
    const { untagged } = await through.ok("SELECT INBOX");
    const count = Number(/(\d+) EXISTS/.exec(untagged.map(String).join())![1]);
    // As clients do: whose flags nobody has asked for, nobody is told of.
    await through.ok("FETCH 1:* FLAGS");
    await straight.ok("SELECT INBOX");
    const idle = await through.idle();
    await straight.ok("APPEND INBOX ", Buffer.from("Subject: live\r\n\r\nhello\r\n"));
    await idle.until(new RegExp(`^\\* ${count + 1} EXISTS`), 10_000);
    await straight.ok("STORE 2 +FLAGS (Live)");
    await idle.until(/^\* 2 FETCH \(UID \d+ FLAGS \(.*Live/, 10_000);
    await straight.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    await straight.ok("EXPUNGE");
    await idle.until(/^\* 1 EXPUNGE/, 10_000);
    expect((await idle.done()).status).toBe("OK");
    const body = await through.ok(`FETCH ${count} BODY.PEEK[TEXT]`);
    expect(body.untagged.map(String).join()).toContain("hello");
  });

  it("tells what another session here does", async () => {
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    const idle = await through.idle();
    await other.ok("STORE 3 +FLAGS.SILENT (Here)");
    await idle.until(/^\* 3 FETCH \(UID \d+ FLAGS \(.*Here/, 10_000);
    await idle.done();
    other.close();
  });

  it("leaves connections for work, however many mailboxes are watched", async () => {
    const names = ["INBOX", "Watched1", "INBOX", "Watched2", "INBOX", "Watched3"];
    // One by one: of several CREATEs at a time Dovecot now and then refuses one with ALREADYEXISTS.
    for (const name of new Set(names)) if (name !== "INBOX") await through.ok(`CREATE ${name}`);
    const sessions = await Promise.all(
      names.map(async (name) => {
        const client = await mailferry.client(user);
        await client.ok(`SELECT ${name}`);
        return client;
      }),
    );
    const idles = await Promise.all(sessions.map((client) => client.idle()));
    for (let round = 0; round < 5; round++)
      await through.ok("APPEND INBOX ", Buffer.from(`Subject: ${round}\r\n\r\n`));
    await through.ok("STORE 1:5 +FLAGS.SILENT (Work)");
    await Promise.all(idles.map((idle) => idle.done()));
    for (const client of sessions) client.close();
  });
});
