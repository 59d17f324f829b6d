/** An account whose databases are gone, cut off, damaged or from a backup: no client notices, and the log tells. */
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { seenMaildrop } from "../helpers/pop3-maildrop.ts";
import { comeBack, lookAtAll } from "../helpers/resync-client.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const users = ["local", "mirrored"];

describe("an account whose databases are damaged", () => {
  let legacy: Dovecot;
  let mailferry: Mailferry;
  let backups: string;

  beforeAll(async () => {
    backups = await mkdtemp(join(tmpdir(), "backups-"));
    legacy = await startDovecot({ users, started: false });
    for (const user of users)
      await fillAccount(legacy, user, plainAccount({ messages: 40, sizeBytes: 2_000, mailboxes: 3 }));
    await legacy.start();
    mailferry = await startMailferry({
      legacy,
      extra: { listen: plainListeners },
      legacyExtra: { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
    });
    for (const user of users) {
      const client = await mailferry.client(user);
      await client.ok('CREATE "Odd &- name.s"');
      await client.ok('APPEND "Odd &- name.s" ($Work \\Flagged) "05-Mar-1999 03:04:05 -0730" ', mail("odd"));
      await client.ok("SUBSCRIBE INBOX");
      client.close();
      await runCli(["migrate", "-c", mailferry.configFile, user]);
      await seenMaildrop(mailferry.port("pop3"), user);
    }
    const cut = await runCli(["cutover", "-c", mailferry.configFile, "local"]);
    expect(cut.code, cut.stderr).toBe(0);
  }, 120_000);
  afterAll(async () => {
    await mailferry?.close();
    await legacy?.close();
    await rm(backups, { recursive: true, force: true });
  });

  const fileOf = (user: string, name: string): string => join(mailferry.dataDir, "mail", "_", user, name);
  const removeDatabase = (user: string, name: string): void => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${fileOf(user, name)}${suffix}`, { force: true });
  };
  const seen = async (user: string) => {
    const client = await mailferry.client(user);
    const snapshot = await takeSnapshot(client);
    client.close();
    return { snapshot, maildrop: await seenMaildrop(mailferry.port("pop3"), user) };
  };
  /** The same before and after `damage`, for a client that comes back, too. */
  const expectUnchanged = async (user: string, damage: () => void, isAlike = nothing): Promise<void> => {
    const before = await seen(user);
    const known = await lookAtAll(await mailferry.client(user), "INBOX");
    await mailferry.stop();
    damage();
    await mailferry.start();
    const { known: now } = await comeBack(await mailferry.client(user), "INBOX", known, false);
    expect(now.flags).toEqual(known.flags);
    expect(now.highestModSeq).toBeGreaterThanOrEqual(known.highestModSeq);
    const after = await seen(user);
    const differences = diffSnapshots(before.snapshot, after.snapshot, { ignore: ["RECENT"] });
    expect(differences.filter((line) => !isAlike(line))).toEqual([]);
    expect(after.maildrop).toEqual(before.maildrop);
  };

  it.each(users)("%s: sidecar.db is gone", async (user) => {
    await expectUnchanged(user, () => removeDatabase(user, "sidecar.db"));
    expect(await mailferry.log()).toContain("sidecar.db was missing");
  });

  it.each(users)("%s: sidecar.db is cut off", async (user) => {
    await expectUnchanged(user, () => truncateSync(fileOf(user, "sidecar.db"), 5_000));
  });

  it.each(users)("%s: sidecar.db has garbage inside", async (user) => {
    await expectUnchanged(user, () => {
      const bytes = readFileSync(fileOf(user, "sidecar.db"));
      for (let at = 4096; at < bytes.length; at += 4096) bytes.fill(0xa5, at, at + 300);
      writeFileSync(fileOf(user, "sidecar.db"), bytes);
    });
    expect(await mailferry.log()).toContain("sidecar.db was damaged");
  });

  it.each(users)("%s: sidecar.db is from a backup", async (user) => {
    await mailferry.stop();
    copyFileSync(fileOf(user, "sidecar.db"), join(backups, user));
    await mailferry.start();
    const client = await mailferry.client(user);
    await client.ok("CREATE Made");
    for (const name of ["INBOX", "Made"])
      await client.ok(`APPEND ${name} (\\Seen $Late) "06-Apr-2001 03:04:05 +0530" `, mail("late"));
    await client.ok("SELECT INBOX");
    await client.ok("STORE 1 +FLAGS (\\Deleted)");
    await client.ok("EXPUNGE");
    client.close();
    await expectUnchanged(user, () => copyFileSync(join(backups, user), fileOf(user, "sidecar.db")));
    expect(await mailferry.log()).toContain("sidecar.db was older than index.db");
  });

  it("an account that is not local: both are gone, and all is fetched again", async () => {
    await expectUnchanged("mirrored", () => {
      for (const name of ["sidecar.db", "index.db"]) removeDatabase("mirrored", name);
    });
    const { stdout } = await runCli(["status", "-c", mailferry.configFile, "mirrored"]);
    expect(stdout).toContain("fetched again");
  });

  it("a local account: both are gone, and it is what the Maildir tells", async () => {
    await expectUnchanged(
      "local",
      () => {
        for (const name of ["sidecar.db", "index.db"]) removeDatabase("local", name);
      },
      isSameInstant,
    );
    const client = await mailferry.client("local");
    const { text } = await client.ok("APPEND INBOX ", mail("next"));
    const next = Number(/APPENDUID \d+ (\d+)/.exec(text)?.[1]);
    const uids = [...(await lookAtAll(client, "INBOX")).flags.keys()];
    expect(Math.max(...uids)).toBe(next);
    expect(uids.filter((uid) => uid === next)).toHaveLength(1);
    const { stdout } = await runCli(["status", "-c", mailferry.configFile, "local"]);
    expect(stdout).toContain("made again from the Maildir");
  });
});

const nothing = (_line: string): boolean => false;

/** A date whose time zone is lost. */
function isSameInstant(line: string): boolean {
  const [, one, other] = /INTERNALDATE: (.+) \| (.+)$/.exec(line) ?? [];
  const instant = (text = ""): number =>
    Date.parse(text.replace(/"/g, "").trim().replace(/-/, " ").replace(/-/, " "));
  return one !== undefined && instant(one) === instant(other);
}

function mail(subject: string): Buffer {
  return Buffer.from(`Subject: ${subject}\r\n\r\ntext of ${subject}\r\n`);
}
