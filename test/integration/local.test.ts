/**
 * An account that is Mailferry's own: every command, what is acknowledged is there after a kill -9, and
 * another Dovecot on the Maildir agrees.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import { type CommandResult, connectImap, type ImapClient } from "../helpers/imap-client.ts";
import { createAccount, type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { type AccountSnapshot, takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "bob";
const password = "pass-bob";

describe("a local account", () => {
  let mailferry: Mailferry;

  beforeAll(async () => {
    mailferry = await startMailferry({});
    const made = await createAccount(mailferry, user, password);
    expect(made, made.stderr).toMatchObject({ code: 0, stdout: "bob: created, stage local\n" });
    const again = await createAccount(mailferry, user, password);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("there is an account bob, in stage local");
  });
  afterAll(() => mailferry?.close());

  const session = (): Promise<ImapClient> => mailferry.client(user, password);
  const snapshot = async (): Promise<AccountSnapshot> => {
    const client = await session();
    const taken = await takeSnapshot(client);
    client.close();
    return taken;
  };
  const told = ({ status, text }: CommandResult): string => `${status} ${text}`;
  const lines = ({ untagged }: CommandResult): string[] => untagged.map((line) => line.toString("latin1"));
  const mail = (subject: string): Buffer => Buffer.from(`Subject: ${subject}\r\n\r\ntext of ${subject}\r\n`);

  it("lets nobody in with another password", async () => {
    const client = await connectImap({ port: mailferry.port("imap") });
    expect(told(await client.command(`LOGIN ${user} wrong`))).toMatch(/^NO \[AUTHENTICATIONFAILED\]/);
    client.close();
  });

  it("does every command", async () => {
    const client = await session();
    const { untagged, text } = await client.ok("SELECT INBOX");
    expect(text).toMatch(/^\[READ-WRITE\]/);
    expect(untagged.map(String)).toContain("* 0 EXISTS");
    expect(
      told(await client.ok('APPEND INBOX (\\Seen Work) "05-Mar-1999 03:04:05 -0730" ', mail("one"))),
    ).toMatch(/^OK \[APPENDUID \d+ 1\]/);
    for (const subject of ["two", "three", "four"]) await client.ok("APPEND INBOX ", mail(subject));
    const dated = await client.ok("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY.PEEK[])");
    expect(lines(dated)[0]).toContain('INTERNALDATE "05-Mar-1999 03:04:05 -0730"');
    expect(lines(dated)[0]).toContain("text of one");
    expect(told(await client.command("COPY 1 nowhere"))).toMatch(/^NO \[TRYCREATE\]/);
    await client.ok("CREATE Archive.2026");
    await client.ok("CREATE Sent");
    await client.ok("SUBSCRIBE Sent");
    expect(told(await client.command("CREATE Sent"))).toMatch(/^NO \[ALREADYEXISTS\]/);
    expect(told(await client.command("DELETE INBOX"))).toMatch(/^NO \[CANNOT\]/);
    expect(told(await client.command("RENAME Sent INBOX"))).toMatch(/^NO \[ALREADYEXISTS\]/);
    expect(told(await client.ok("COPY 2:3 Archive.2026"))).toMatch(/^OK \[COPYUID \d+ 2:3 1:2\]/);
    expect(lines(await client.ok("STORE 2 +FLAGS (\\Flagged $Label)"))).toEqual([
      expect.stringMatching(/^\* FLAGS .* \$Label\)$/),
      expect.stringMatching(/^\* OK \[PERMANENTFLAGS /),
      "* 2 FETCH (UID 2 FLAGS (\\Flagged $Label \\Recent))",
    ]);
    expect(lines(await client.ok("MOVE 3 Sent"))).toEqual([
      expect.stringMatching(/^\* OK \[COPYUID \d+ 3 1\]/),
      "* 3 EXPUNGE",
      "* 3 RECENT",
    ]);
    await client.ok("STORE 3 +FLAGS.SILENT (\\Deleted)");
    expect(lines(await client.ok("EXPUNGE"))).toEqual(["* 3 EXPUNGE", "* 2 RECENT"]);
    await client.ok("RENAME Archive Old");
    expect(lines(await client.ok("STATUS Old.2026 (MESSAGES UIDNEXT)"))[0]).toBe(
      "* STATUS Old.2026 (MESSAGES 2 UIDNEXT 3)",
    );
    expect(lines(await client.ok("STATUS INBOX (UIDNEXT)"))[0]).toContain("UIDNEXT 5");
    expect(lines(await client.ok("UID SEARCH TEXT two"))[0]).toBe("* SEARCH 2");
    await client.ok("RENAME INBOX Former");
    expect(lines(await client.ok("STATUS Former (MESSAGES)"))[0]).toContain("MESSAGES 2");
    expect(lines(await client.ok("STATUS INBOX (MESSAGES UIDNEXT)"))[0]).toContain("MESSAGES 0 UIDNEXT 5");
    expect(lines(await client.ok('LSUB "" *'))).toEqual(['* LSUB () "." "Sent"']);
    await client.ok("DELETE Former");
    client.close();
  });

  it("tells other sessions at once", async () => {
    const [one, other] = [await session(), await session()];
    await one.ok("SELECT INBOX");
    await other.ok("SELECT INBOX");
    const idle = await other.idle();
    await one.ok("APPEND INBOX ", mail("news"));
    await idle.until(/^\* \d+ EXISTS/, 5_000);
    await one.ok("STORE 1 +FLAGS (\\Deleted)");
    await one.ok("EXPUNGE");
    await idle.until(/^\* 1 EXPUNGE/, 5_000);
    await idle.done();
    one.close();
    other.close();
  });

  it.each([
    ["APPEND", (client: ImapClient) => client.ok("APPEND INBOX (\\Seen) ", mail("kept"))],
    ["APPEND", (client: ImapClient) => client.ok("APPEND Sent (Work2) ", mail("kept too"))],
    ["COPY", (client: ImapClient) => client.ok("COPY 1 Sent")],
    ["STORE", (client: ImapClient) => client.ok("STORE 1 +FLAGS (\\Answered Other)")],
    ["APPEND", (client: ImapClient) => client.ok("APPEND INBOX ", mail("to go"))],
    ["MOVE", (client: ImapClient) => client.ok("MOVE 2 Sent")],
    ["CREATE", (client: ImapClient) => client.ok("CREATE After.kill")],
    ["RENAME", (client: ImapClient) => client.ok("RENAME After Again")],
    ["STORE", (client: ImapClient) => client.ok("STORE 1 +FLAGS (\\Deleted)")],
    ["EXPUNGE", (client: ImapClient) => client.ok("EXPUNGE")],
  ])("%s that was acknowledged is there after kill -9", async (_name, change) => {
    const client = await session();
    await client.ok("SELECT INBOX");
    await change(client);
    const other = await session();
    const before = await takeSnapshot(other);
    await mailferry.kill();
    await mailferry.start();
    expect(diffSnapshots(before, await snapshot(), { ignore: ["RECENT"] })).toEqual([]);
  });

  it("another Dovecot on the Maildir agrees", async () => {
    const here = await snapshot();
    expect(await mailferry.stop()).toBe(0);
    const second = await startDovecot({ users: [user], started: false });
    try {
      await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
      await second.start();
      const client = await second.client(user);
      // Local accounts say so of all system flags and keywords; Dovecot of those in use.
      expect(diffSnapshots(here, await takeSnapshot(client), { ignore: ["RECENT"] })).toEqual([]);
      expect(await second.errors()).toEqual([]);
    } finally {
      await second.close();
    }
  });
});
