/**
 * mbsync and offlineimap, with state that they made against the legacy server, are pointed at Mailferry by
 * the port alone: they find nothing to do, and then work both ways.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { mbsyncAtWork, messageFilesIn } from "../helpers/mbsync.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";
import { mbsync, offlineimap } from "../helpers/sync-clients.ts";

const user = "alice";

describe.each([mbsync, offlineimap])("$name", ({ sync, inbox }) => {
  let folder: string;
  let legacy: Dovecot;
  let mailferry: Mailferry;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mailferry-sync-"));
    legacy = await startDovecot({ users: [user], started: false });
    await fillAccount(legacy, user, plainAccount({ seed: 11, messages: 60, sizeBytes: 700, mailboxes: 3 }));
    await legacy.start();
    mailferry = await startMailferry({ legacy });
  });
  afterAll(async () => {
    await mailferry?.close();
    await legacy?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const login = (port: number) => ({ port, user, password: legacy.passwordOf(user) });
  const here = (): Promise<string> => sync(folder, login(mailferry.port("imap")));

  it("finds nothing to do when only the port has changed", async () => {
    await sync(folder, login(legacy.ports.imap));
    await sync(folder, login(legacy.ports.imap));
    const before = await messageFilesIn(join(folder, "mail"));
    expect(before.length).toBeGreaterThanOrEqual(60);
    const straight = await legacy.client(user);
    const snapshot = await takeSnapshot(straight);
    const told = await here();
    expect(told).not.toMatch(mbsyncAtWork);
    expect(await messageFilesIn(join(folder, "mail"))).toEqual(before);
    expect(diffSnapshots(snapshot, await takeSnapshot(straight), { ignore: ["RECENT"] })).toEqual([]);
    straight.close();
  });

  it("works both ways through Mailferry", async () => {
    const straight = await legacy.client(user);
    await straight.ok(
      "APPEND INBOX ",
      Buffer.from("Subject: from the server\r\nMessage-ID: <s@x>\r\n\r\nserver\r\n"),
    );
    await straight.ok("SELECT INBOX");
    await straight.ok("STORE 3 +FLAGS.SILENT (\\Flagged)");
    await straight.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    await straight.ok("EXPUNGE");
    const own = join(folder, inbox, "new", "1700000000.M1P1.client");
    await writeFile(own, "Subject: from the client\nMessage-ID: <c@x>\n\nclient\n");
    await here();
    await here();
    const files = await messageFilesIn(join(folder, inbox));
    const texts = await Promise.all(files.map((file) => readFile(file, "latin1")));
    expect(texts.filter((text) => text.includes("from the server"))).toHaveLength(1);
    await straight.ok("NOOP");
    const { untagged } = await straight.ok('UID SEARCH SUBJECT "from the client"');
    expect(untagged.map(String).find((line) => line.startsWith("* SEARCH"))).toMatch(/^\* SEARCH \d+$/);
    const search = await straight.ok("SEARCH ALL");
    const count =
      search.untagged
        .map(String)
        .find((line) => line.startsWith("* SEARCH"))!
        .split(" ").length - 2;
    expect(files).toHaveLength(count);
    const through = await mailferry.client(user);
    expect(
      diffSnapshots(await takeSnapshot(straight), await takeSnapshot(through), { ignore: ["RECENT"] }),
    ).toEqual([]);
    through.close();
    straight.close();
  });
});
