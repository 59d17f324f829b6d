/**
 * Changes of names go to the legacy server first: what it refuses is refused in its words, what it does is
 * seen on both sides, and an answer that never came is found out.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CuttingProxy, startCuttingProxy } from "../helpers/cutting-proxy.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import type { CommandResult, ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

describe("changes of names", () => {
  let legacy: Dovecot;
  let proxy: CuttingProxy;
  let mailferry: Mailferry;
  let through: ImapClient;
  let straight: ImapClient;

  beforeAll(async () => {
    legacy = await startDovecot({ users: [user] });
    proxy = await startCuttingProxy(legacy.ports.imap);
    mailferry = await startMailferry({
      legacy,
      legacyExtra: { imap: { host: "127.0.0.1", port: proxy.port, tls: "none" } },
    });
    through = await mailferry.client(user);
    straight = await legacy.client(user);
  });
  afterAll(async () => {
    await mailferry?.close();
    await proxy?.close();
    await legacy?.close();
  });

  const sidesAreEqual = async (): Promise<void> => {
    const [here, there] = [await takeSnapshot(through), await takeSnapshot(straight)];
    expect(diffSnapshots(there, here, { ignore: ["RECENT"] })).toEqual([]);
  };
  const lines = ({ untagged }: CommandResult): string[] => untagged.map((line) => line.toString("latin1"));
  const names = async (): Promise<string> =>
    (await straight.ok('LIST "" *')).untagged.map((line) => line.toString("latin1")).join("\n");

  it.each([
    "CREATE Projects",
    "CREATE Projects.2026",
    'CREATE "Entw&APw-rfe"',
    "SUBSCRIBE Projects.2026",
    "SUBSCRIBE INBOX",
    "RENAME Projects Archive",
    "UNSUBSCRIBE INBOX",
    "DELETE Archive.2026",
    "CREATE Above.below.",
  ])("%s is done on both sides", async (command) => {
    await through.ok(command);
    await sidesAreEqual();
  });

  it.each([
    "CREATE INBOX",
    "CREATE Archive",
    "DELETE nowhere",
    "DELETE INBOX",
    "RENAME nowhere x",
    "RENAME Archive INBOX",
    "RENAME INBOX Former",
    "CREATE .",
  ])("%s is refused in the legacy server's words", async (command) => {
    const told = await through.command(command);
    const asked = await straight.command(command);
    const withoutTimes = (text: string): string => text.replace(/ \(\d.*\)\.?$/, "");
    expect(`${told.status} ${withoutTimes(told.text)}`).toBe(`${asked.status} ${withoutTimes(asked.text)}`);
    expect(told.status).toBe("NO");
    await sidesAreEqual();
  });

  it("tells a session that its mailbox was deleted", async () => {
    await through.ok("CREATE Doomed");
    const other = await mailferry.client(user);
    await other.ok("SELECT Doomed");
    await through.ok("DELETE Doomed");
    expect((await other.next()).toString("latin1")).toMatch(/^\* BYE /);
    await other.closed;
  });

  it("lets a session delete the mailbox that it has open", async () => {
    await through.ok("CREATE Mine");
    await through.ok("SELECT Mine");
    await through.ok("DELETE Mine");
    await through.ok("NOOP");
  });

  it("sends a session away whose mailbox was deleted on the legacy server", async () => {
    await straight.ok("CREATE Short");
    const other = await mailferry.client(user);
    await other.ok("SELECT Short");
    await straight.ok("DELETE Short");
    const told: string[] = [];
    const ask = () =>
      other.command("NOOP").then(
        ({ status }) => status,
        () => "closed",
      );
    await expect.poll(async () => told[told.push(await ask()) - 1], { timeout: 10_000 }).toBe("closed");
    expect(told).not.toContain("NO");
  });

  it.each([
    ["CREATE Lost.1", / Lost\.1$/m],
    ["RENAME Lost.1 Found", / Found$/m],
  ])("%s is answered OK when it was done and its answer was lost", async (command, expected) => {
    proxy.cutNext(/ (CREATE|RENAME) /, "after");
    const cuts = proxy.cuts;
    await through.ok(command);
    expect(proxy.cuts).toBe(cuts + 1);
    expect(await names()).toMatch(expected);
    await sidesAreEqual();
  });

  it("RENAME takes along what was pulled, below it too", async () => {
    const maildir = join(mailferry.dataDir, "mail", "_", user, "Maildir");
    const files = async (folder: string): Promise<string[]> => {
      const cur = join(maildir, folder, "cur");
      const found = await Promise.all(
        (await readdir(cur)).map(async (name) => `${(await stat(join(cur, name))).ino} ${name}`),
      );
      return found.sort();
    };
    for (const name of ["Old", "Old.below"]) {
      await through.ok(`CREATE ${name}`);
      for (const subject of ["one", "two"]) {
        await through.ok(`APPEND ${name} (Work) `, Buffer.from(`Subject: ${subject}\r\n\r\ntext\r\n`));
      }
      await through.ok(`SELECT ${name}`);
      await through.ok("FETCH 1:* BODY[]");
    }
    const both = async (name: string) => [await files(`.${name}`), await files(`.${name}.below`)];
    await expect.poll(async () => (await both("Old")).flat()).toHaveLength(4);
    const before = await both("Old");
    const other = await mailferry.client(user);
    await other.ok("SELECT Old");
    await through.ok("UNSELECT");
    await through.ok("RENAME Old New");
    expect(await both("New")).toEqual(before);
    await through.ok("SELECT New");
    // Who has it open goes on with it.
    await other.ok("NOOP");
    expect(lines(await other.ok("STORE 2 +FLAGS (\\Answered)"))).toContainEqual(
      expect.stringMatching(/^\* 2 FETCH \(UID 2 FLAGS \(\\Answered \\Seen Work/),
    );
    await through.ok("STORE 1 +FLAGS (\\Flagged Later)");
    await through.ok("COPY 1 New.below");
    expect(lines(await through.ok("FETCH 1 FLAGS"))).toEqual([
      expect.stringMatching(/^\* 1 FETCH \(FLAGS \(\\Flagged \\Seen Later Work( \\Recent)?\)\)$/),
    ]);
    await sidesAreEqual();
  });

  it("RENAME is followed by who has the mailbox open, though others list the names at that moment", async () => {
    await through.ok("CREATE Turn0");
    await through.ok("APPEND Turn0 ", Buffer.from("Subject: one\r\n\r\ntext\r\n"));
    const reader = await mailferry.client(user);
    await reader.ok("SELECT Turn0");
    const lister = await mailferry.client(user);
    let isOver = false;
    const listing = (async () => {
      while (!isOver) await lister.ok('LIST "" *');
    })();
    for (let turn = 0; turn < 30; turn++) await through.ok(`RENAME Turn${turn} Turn${turn + 1}`);
    isOver = true;
    await listing;
    expect(lines(await reader.ok("FETCH 1 BODY.PEEK[TEXT]"))).toHaveLength(1);
    await through.ok("DELETE Turn30");
    await sidesAreEqual();
  });

  it("is answered NO when it was lost on its way", async () => {
    proxy.cutNext(/ CREATE /, "before");
    const told = await through.command("CREATE Never");
    expect(`${told.status} ${told.text}`).toMatch(/^NO \[UNAVAILABLE\]/);
    expect(await names()).not.toMatch(/Never/);
    await sidesAreEqual();
  });

  it("is answered NO [UNAVAILABLE] while the legacy server is away, and works again afterwards", async () => {
    await legacy.stop();
    const told = await through.command("CREATE Later");
    expect(`${told.status} ${told.text}`).toMatch(/^NO \[UNAVAILABLE\]/);
    await legacy.start();
    straight = await legacy.client(user);
    await expect
      .poll(async () => (await through.command("CREATE Later")).status, { timeout: 10_000 })
      .toBe("OK");
    await sidesAreEqual();
  });
});
