/** A stock Dovecot on a Maildir that was handed over goes on where Mailferry ends, and no client notices. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { oddAccount } from "../helpers/account-plans.ts";
import { alikeMail } from "../helpers/alike-mail.ts";
import { type Dovecot, type DovecotOptions, startDovecot } from "../helpers/dovecot.ts";
import { type AccountPlan, fillAccount, wireName } from "../helpers/filler.ts";
import { type ImapClient, quoted } from "../helpers/imap-client.ts";
import {
  createAccount,
  type Mailferry,
  plainListeners,
  runCli,
  startMailferry,
} from "../helpers/mailferry.ts";
import { type MbsyncAccount, mbsyncAtWork, messageFilesIn, runMbsync } from "../helpers/mbsync.ts";
import { type SeenMessage, seenMaildrop } from "../helpers/pop3-maildrop.ts";
import { comeBack, lookAtAll } from "../helpers/resync-client.ts";
import { type AccountSnapshot, takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";
const run = promisify(execFile);

/** A mailbox name as the wire has it, in the namespace of that server. */
type Wire = (...path: string[]) => string;

interface Seen {
  readonly snapshot: AccountSnapshot;
  readonly modSeqs: ReadonlyMap<string, bigint>;
  readonly maildrop: readonly SeenMessage[];
}

async function seenAt(client: ImapClient, pop3Port: number): Promise<Seen> {
  // Marks what it reads.
  const maildrop = await seenMaildrop(pop3Port, user);
  const snapshot = await takeSnapshot(client);
  const modSeqs = new Map<string, bigint>();
  for (const name of snapshot.mailboxes.keys()) {
    const { untagged } = await client.ok(`STATUS ${quoted(name)} (HIGHESTMODSEQ)`);
    modSeqs.set(name, BigInt(/HIGHESTMODSEQ (\d+)/.exec(untagged.join("\n"))?.[1] ?? 0));
  }
  return { snapshot, modSeqs, maildrop };
}

/** On a copy of the Maildir, with the script run before anybody logs in. */
async function startSecond(
  mailferry: Mailferry,
  script: string,
  options: Omit<DovecotOptions, "users"> = {},
): Promise<Dovecot> {
  const second = await startDovecot({ ...options, users: [user], started: false });
  onTestFinished(() => second.close());
  await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await second.start();
  const told = await run("sh", [script], {
    env: { ...process.env, DOVEADM: `doveadm -c ${second.configFile}` },
  });
  expect(told.stderr).toBe("");
  return second;
}

async function expectSame(before: Seen, second: Dovecot): Promise<void> {
  const after = await seenAt(await second.client(user), second.ports.pop3);
  expect(diffSnapshots(before.snapshot, after.snapshot, { ignore: ["RECENT"] })).toEqual([]);
  expect(after.maildrop).toEqual(before.maildrop);
  const lower = [...before.modSeqs].filter(([name, told]) => (after.modSeqs.get(name) ?? 0n) < told);
  expect(lower).toEqual([]);
  expect(await second.errors()).toEqual([]);
}

/** INBOX with what is hard to keep apart, and everything that is odd around it. */
function planFor(options: Parameters<typeof oddAccount>[0]): AccountPlan {
  const odd = oddAccount(options);
  const inbox = alikeMail(200, { pop3Order: true }).mailboxes;
  return { ...odd, mailboxes: [...inbox, ...odd.mailboxes.filter(({ path }) => path.join() !== "INBOX")] };
}

/** More than a Maildir has letters for; what a shell would make something of stays a keyword. */
const extraKeywords = ["a'b;$HOME&`id`", "-u", "Label26", "$Extra"];

async function addExtraKeywords(client: ImapClient, name: string): Promise<void> {
  await client.ok(`SELECT ${quoted(name)}`);
  for (const [index, keyword] of extraKeywords.entries())
    await client.ok(`STORE ${index + 1}:${index + 4},20 +FLAGS (${keyword})`);
}

/** What a user does once the account is Mailferry's own. */
async function changeALittle(client: ImapClient, wire: Wire): Promise<void> {
  const mail = (subject: string): Buffer => Buffer.from(`Subject: ${subject}\r\n\r\ntext\r\n`);
  await client.ok("SELECT INBOX");
  await client.ok('APPEND INBOX (\\Seen work) "01-Oct-2020 10:00:00 +0000" ', mail("own one"));
  await client.ok("APPEND INBOX ", mail("own two"));
  await client.ok("STORE 2:5 +FLAGS (\\Flagged Later)");
  await client.ok("STORE 7,11 +FLAGS.SILENT (\\Deleted)");
  await client.ok("EXPUNGE");
  const made = quoted(wire("Neu & schön", "Untergeordnet"));
  await client.ok(`CREATE ${made}`);
  await client.ok(`SUBSCRIBE ${made}`);
  await client.ok(`COPY 1:9 ${made}`);
  await client.ok(`MOVE 12 ${quoted(wire("Sent"))}`);
  await client.ok(`SELECT ${quoted(wire("Keywords"))}`);
  await client.ok("STORE 3 +FLAGS (\\Answered Label27)");
  await client.ok("STORE 1 -FLAGS (Label0)");
  await client.ok("STORE 26 +FLAGS.SILENT (\\Deleted)");
  await client.ok("EXPUNGE");
}

const layouts = [
  ["names as a Maildir has them", { separator: ".", prefix: "", listEscape: false }],
  ["names that have to be escaped", { separator: "/", prefix: "", listEscape: true }],
  ["a prefix", { separator: ".", prefix: "INBOX.", listEscape: false }],
] as const;

describe.each(layouts)("an account from a legacy server, with %s", (_, layout) => {
  it("goes on at a stock Dovecot", async () => {
    const plan = planFor(layout.prefix === "" ? layout : {});
    const namespace = { ...layout, specialUse: plan.specialUse };
    const wire: Wire = (...path) => wireName(path, layout);
    const legacy = await startDovecot({ users: [user], started: false, namespace });
    onTestFinished(() => legacy.close());
    await fillAccount(legacy, user, plan);
    await legacy.start();
    // Far above what Dovecot would begin with, and more than 32 bits.
    const raise = ["--min-highest-modseq", String(2n ** 33n), "--", wire("Keywords")];
    await legacy.doveadm("mailbox", "update", "-u", user, ...raise);
    await addExtraKeywords(await legacy.client(user), wire("Keywords"));
    const mailferry = await startMailferry({
      legacy,
      extra: { listen: plainListeners },
      legacyExtra: { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
    });
    onTestFinished(() => mailferry.close());
    const folder = await mkdtemp(join(tmpdir(), "mailferry-handover-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const patterns = ["INBOX", "Sent", "Keywords", "High UIDs", "Archive"]
      .map((name) => `"${name}"`)
      .join(" ");
    const mbsync = (port: number): Promise<string> => {
      const account: MbsyncAccount = { port, user, password: legacy.passwordOf(user), patterns };
      return layout === layouts[0][1] ? runMbsync(folder, account) : Promise.resolve("");
    };

    const client = await mailferry.client(user);
    const early = await lookAtAll(await mailferry.client(user), quoted(wire("Keywords")));
    await mbsync(mailferry.port("imap"));
    const script = join(folder, "alice.sh");
    const refused = await runCli(["handover", "-c", mailferry.configFile, user, "--script", script]);
    expect(refused.stderr).toMatch(/^alice is not Mailferry's own, but in stage (mirroring|complete)/);
    expect(refused.code).toBe(1);
    // One of its mailboxes has hardly any UIDs left.
    await runCli(["problems", "-c", mailferry.configFile, user, "--accept-kind", "numbers"]);
    const taken = await runCli(["cutover", "-c", mailferry.configFile, user]);
    expect(taken.stderr + taken.stdout).toContain("alice: local");
    await legacy.close();
    await changeALittle(client, wire);
    const before = await seenAt(client, mailferry.port("pop3"));
    expect(before.maildrop).toHaveLength(200 + 2 - 2 - 1);
    await mbsync(mailferry.port("imap"));
    await mbsync(mailferry.port("imap"));
    const late = await lookAtAll(await mailferry.client(user), quoted(wire("Keywords")));

    const live = await runCli(["handover", "-c", mailferry.configFile, user, "--json"]);
    expect(JSON.parse(live.stdout)).toMatchObject({ user, problems: [], mailboxes: before.modSeqs.size });
    expect(await mailferry.stop()).toBe(0);
    const done = await runCli(["handover", "-c", mailferry.configFile, user, "--script", script]);
    expect(done.stderr + done.stdout).toMatch(/ready for Dovecot\n$/);
    expect(done.code).toBe(0);

    const second = await startSecond(mailferry, script, { namespace });
    const files = await messageFilesIn(folder);
    expect(await mbsync(second.ports.imap)).not.toMatch(mbsyncAtWork);
    expect(await messageFilesIn(folder)).toEqual(files);
    await expectSame(before, second);
    for (const known of [early, late]) {
      const back = await comeBack(await second.client(user), quoted(wire("Keywords")), known, false);
      expect(back.known.flags).toEqual(late.flags);
    }
  });
});

it("an account that never had a legacy server goes on at a stock Dovecot", async () => {
  const mailferry = await startMailferry({ extra: { listen: plainListeners } });
  onTestFinished(() => mailferry.close());
  expect((await createAccount(mailferry, user, `pass-${user}`)).code).toBe(0);
  const client = await mailferry.client(user, `pass-${user}`);
  const mail = (subject: string): Buffer => Buffer.from(`Subject: ${subject}\r\n\r\ntext\r\n`);
  await client.ok("CREATE Keywords");
  for (let index = 0; index < 30; index++) {
    await client.ok(`APPEND INBOX (\\Seen) `, mail(`in ${index}`));
    await client.ok(`APPEND Keywords (Label${index} Other${index % 7}) `, mail(`kept ${index}`));
  }
  await client.ok("SUBSCRIBE Keywords");
  await client.ok("SELECT INBOX");
  await client.ok("STORE 3:5 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await client.ok("MOVE 4:6 Keywords");
  const before = await seenAt(client, mailferry.port("pop3"));
  expect(before.maildrop).toHaveLength(24);
  expect(await mailferry.stop()).toBe(0);
  const folder = await mkdtemp(join(tmpdir(), "mailferry-handover-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const script = join(folder, "alice.sh");
  const done = await runCli(["handover", "-c", mailferry.configFile, user]);
  expect(done).toMatchObject({ code: 0, stderr: "" });
  expect(done.stdout).toContain("# ready for Dovecot\n");
  await writeFile(script, done.stdout);
  // Another format than this account's: what clients know stays.
  const extraConfig = "protocol pop3 {\n  pop3_uidl_format = %g\n}\n";
  await expectSame(before, await startSecond(mailferry, script, { extraConfig }));
});
