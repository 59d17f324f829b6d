/**
 * What a client sees through Mailferry is what it sees straight at the legacy server: at the first login,
 * when everything is pulled, after a restart, and after the index was deleted. And a second Dovecot on
 * the Maildir sees it too.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { oddAccount } from "../helpers/account-plans.ts";
import { type Dovecot, type DovecotOptions, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { type AccountSnapshot, takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "odd";

const layouts: readonly (Pick<DovecotOptions, "namespace" | "timeZone"> & { readonly name: string })[] = [
  { name: "names with a dot as separator, zone of Kolkata", timeZone: "Asia/Kolkata" },
  {
    name: "names with a slash, dots inside names, zone of St. John’s",
    namespace: { separator: "/", listEscape: true },
    timeZone: "America/St_Johns",
  },
  { name: "a namespace INBOX.", namespace: { separator: ".", prefix: "INBOX." } },
];

describe.each(layouts)("identity: $name", ({ namespace = {}, timeZone = "UTC" }) => {
  let legacy: Dovecot;
  let mailferry: Mailferry;
  let straight: AccountSnapshot;
  const plan = oddAccount({
    seed: 7,
    separator: namespace.separator ?? ".",
    listEscape: namespace.listEscape ?? false,
    largeBytes: 30_000_000,
    manyMessages: 2_000,
  });
  const settings = { namespace: { ...namespace, specialUse: plan.specialUse }, timeZone };

  beforeAll(async () => {
    legacy = await startDovecot({ users: [user], ...settings, started: false });
    await fillAccount(legacy, user, plan);
    await legacy.start();
    straight = await snapshotOf(legacy);
    mailferry = await startMailferry({ legacy });
  });
  afterAll(async () => {
    await mailferry?.close();
    await legacy?.close();
  });

  const snapshotOf = async (server: {
    client(user: string): Promise<Parameters<typeof takeSnapshot>[0]>;
  }) => {
    const client = await server.client(user);
    const snapshot = await takeSnapshot(client);
    await client.ok("LOGOUT");
    return snapshot;
  };

  it("has mail to compare", () => {
    const counts = [...straight.mailboxes.values()].map(({ messages }) => messages.size);
    expect(counts.length).toBeGreaterThan(15);
    expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThan(2_000);
  });

  it("(a) is the same at the first login, with nothing pulled", async () => {
    expect(differences(straight, await snapshotOf(mailferry))).toEqual([]);
  });

  it("(b) is the same when everything is pulled", async () => {
    // One of its mailboxes has hardly any UIDs left.
    await runCli(["problems", "-c", mailferry.configFile, user, "--accept-kind", "numbers"]);
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect(migrated, migrated.stdout + migrated.stderr).toMatchObject({ code: 0 });
    expect(differences(straight, await snapshotOf(mailferry))).toEqual([]);
  });

  it("verify finds both sides equal", async () => {
    const verified = await runCli(["verify", "-c", mailferry.configFile, user, "--json"]);
    expect(verified, verified.stdout).toMatchObject({ code: 0 });
    expect(JSON.parse(verified.stdout)).toMatchObject({ equal: true });
  });

  it("(c) is the same after a restart", async () => {
    expect(await mailferry.stop()).toBe(0);
    await mailferry.start();
    expect(differences(straight, await snapshotOf(mailferry))).toEqual([]);
  });

  it("(d) is the same after index.db was deleted", async () => {
    await mailferry.stop();
    const folder = accountFolder(mailferry);
    const indexFiles = (await readdir(folder)).filter((name) => name.startsWith("index.db"));
    expect(indexFiles).toContain("index.db");
    for (const name of indexFiles) await rm(join(folder, name));
    await mailferry.start();
    expect(differences(straight, await snapshotOf(mailferry))).toEqual([]);
  });

  it("a second Dovecot on the Maildir shows the same", async () => {
    await mailferry.stop();
    const second = await startDovecot({ users: [user], ...settings, started: false });
    try {
      await second.adoptMaildir(user, join(accountFolder(mailferry), "Maildir"));
      await second.start();
      expect(differences(straight, await snapshotOf(second))).toEqual([]);
      expect(await second.errors()).toEqual([]);
    } finally {
      await second.close();
    }
  });
});

/**
 * What may differ, each with its reason. STATUS RECENT: \\Recent is a session's own and is not mirrored
 * (RFC 3501 2.3.2 leaves it to the server who is told). A NUL in a header, which mail must not have
 * (RFC 5322 2.2): Dovecot sends it as 0x80 in BODY[], and as U+FFFD in ENVELOPE; all that can be had over
 * IMAP is the former.
 */
function differences(straight: AccountSnapshot, other: AccountSnapshot): string[] {
  const nul = /ENVELOPE: .*\u00ef\u00bf\u00bd.* \| .*\u0080/s;
  return diffSnapshots(straight, other, { ignore: ["RECENT"] }).filter((line) => !nul.test(line));
}

function accountFolder(mailferry: Mailferry): string {
  return join(mailferry.dataDir, "mail", "_", user);
}
