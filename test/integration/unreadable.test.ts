/** A real Dovecot that cannot give two of 40 messages: clients see and change the others, and they are pulled. */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";
const unreadable = 20;
const missized = 30;
const all = Array.from({ length: 40 }, (_, index) => index + 1);
const readable = all.filter((uid) => uid !== unreadable && uid !== missized);
const textOfMessage = (uid: number): string => `Subject: letter ${uid}\r\n\r\nText number ${uid}\r\n`;

/** One file may not be read, and one has a size in its name that Dovecot holds against it. */
function fill(maildir: string): void {
  for (const folder of ["cur", "new", "tmp"]) mkdirSync(join(maildir, folder), { recursive: true });
  for (const uid of all) {
    const size = uid === missized ? ",S=1" : "";
    const file = join(maildir, "cur", `${1_400_000_000 + uid}.M${uid}P1.host${size}:2,`);
    writeFileSync(file, textOfMessage(uid).replaceAll("\r\n", "\n"));
    if (uid === unreadable) chmodSync(file, 0);
  }
}

async function start(): Promise<{ dovecot: Dovecot; mailferry: Mailferry }> {
  const dovecot = await startDovecot({ users: [user], started: false });
  onTestFinished(() => dovecot.close());
  fill(dovecot.maildirOf(user));
  await dovecot.start();
  const mailferry = await startMailferry({ legacy: dovecot });
  onTestFinished(() => mailferry.close());
  return { dovecot, mailferry };
}

function uidsOf(untagged: readonly Buffer[]): number[] {
  return untagged.flatMap((response) => {
    const uid = fetchItems(response)?.get("UID");
    return uid === undefined ? [] : [Number(textOf(uid))];
  });
}

it("clients see and change the others", async () => {
  const { mailferry } = await start();
  const client = await mailferry.client(user);
  expect((await client.ok("SELECT INBOX")).untagged.map(String)).toContain("* 40 EXISTS");
  expect(uidsOf((await client.ok("UID FETCH 1:* (FLAGS)")).untagged)).toEqual(all);
  expect(uidsOf((await client.ok("UID FETCH 1:* (FLAGS INTERNALDATE)")).untagged)).toEqual(all);
  const sized = await client.command("UID FETCH 1:* (FLAGS RFC822.SIZE)");
  expect([sized.status, uidsOf(sized.untagged)]).toEqual(["NO", readable]);
  const headers = await client.command("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
  expect([headers.status, uidsOf(headers.untagged)]).toEqual(["NO", readable]);
  const stored = await client.ok("UID STORE 1:* +FLAGS (\\Flagged)");
  expect(uidsOf(stored.untagged).sort((a, b) => a - b)).toEqual(all);
  const found = await client.ok("UID SEARCH FLAGGED UNDELETED");
  expect(String(found.untagged[0])).toBe(`* SEARCH ${all.join(" ")}`);
  const bodies: Buffer[] = [];
  const ended = client.stream((response) => void bodies.push(response), "UID FETCH 1:* (BODY.PEEK[])");
  // Bytes that cannot be had end the session, but only behind all others.
  await expect(ended).rejects.toThrow();
  expect(uidsOf(bodies)).toEqual(readable);
});

it("clients with CONDSTORE hear of what others change, of those two as well", async () => {
  const { dovecot, mailferry } = await start();
  const client = await mailferry.client(user);
  await client.ok("ENABLE CONDSTORE");
  const selected = await client.ok("SELECT INBOX");
  expect(uidsOf((await client.ok("UID FETCH 1:* (FLAGS MODSEQ)")).untagged)).toEqual(all);
  const highest = /HIGHESTMODSEQ (\d+)/.exec(selected.untagged.join(" "))?.[1];
  const straight = await dovecot.client(user);
  await straight.ok("SELECT INBOX");
  await straight.ok("UID STORE 15:35 +FLAGS (\\Answered)");
  const heard = new Set<number>();
  const answered = all.slice(14, 35);
  await expect
    .poll(
      async () => {
        const { untagged } = await client.ok("NOOP");
        for (const uid of uidsOf(untagged.filter((one) => String(one).includes("\\Answered"))))
          heard.add(uid);
        return [...heard].sort((a, b) => a - b);
      },
      { timeout: 20_000 },
    )
    .toEqual(answered);
  const changed = await client.ok(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${highest})`);
  expect(uidsOf(changed.untagged)).toEqual(answered);
  await mailferry.stop();
  await straight.ok(`UID STORE ${unreadable} +FLAGS (\\Draft)`);
  await mailferry.start();
  const later = await mailferry.client(user);
  await later.ok("SELECT INBOX");
  const { untagged } = await later.ok(`UID FETCH ${unreadable} (FLAGS)`);
  expect(untagged.join(" ")).toContain("\\Draft");
});

it("one that cannot be read there any more is what verify tells of, and all else is equal", async () => {
  const { dovecot, mailferry } = await start();
  const file = (uid: number): string =>
    join(dovecot.maildirOf(user), "cur", `${1_400_000_000 + uid}.M${uid}P1.host`);
  rmSync(`${file(missized)},S=1:2,`);
  chmodSync(`${file(unreadable)}:2,`, 0o644);
  await mailferry.client(user);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  chmodSync(`${file(unreadable)}:2,`, 0);
  const verified = await runCli(["verify", "-c", mailferry.configFile, user, "--json"]);
  const { mailboxes } = JSON.parse(verified.stdout.trim().split("\n").at(-1) ?? "");
  expect(mailboxes[0].differences).toEqual([
    { kind: "bytes", uid: unreadable, detail: expect.stringContaining("the legacy server cannot give it") },
  ]);
});

it("38 are pulled and two are named, over and over; nobody calls that equal", async () => {
  const { dovecot, mailferry } = await start();
  const cli = (command: string, ...more: string[]) =>
    runCli([command, "-c", mailferry.configFile, user, ...more]);
  await mailferry.client(user);
  for (let run = 0; run < 2; run++) {
    const migrated = await cli("migrate");
    expect(migrated.stdout).toContain("INCOMPLETE: 38 of 40 messages");
    const named = migrated.stdout.match(/not here: INBOX: UID \d+/g);
    expect(named).toEqual([`not here: INBOX: UID ${unreadable}`, `not here: INBOX: UID ${missized}`]);
  }
  const verified = await cli("verify", "--json");
  const { mailboxes } = JSON.parse(verified.stdout.trim().split("\n").at(-1) ?? "");
  expect(mailboxes[0].differences.map(({ kind, uid }: { kind: string; uid: number }) => [kind, uid])).toEqual(
    [unreadable, missized].map((uid) => ["missing", uid]),
  );
  expect((await cli("cutover")).code).toBe(1);
  // Mended there, they are brought by the next run.
  chmodSync(
    join(dovecot.maildirOf(user), "cur", `${1_400_000_000 + unreadable}.M${unreadable}P1.host:2,`),
    0o644,
  );
  const mended = await cli("migrate");
  expect(mended.stdout).toContain("INCOMPLETE: 39 of 40 messages");
});
