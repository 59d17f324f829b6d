/** What a real Dovecot cannot give is named, and the operator's word brings the account to its end. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";
const unreadable = [5, 8];

interface Listed {
  readonly problems: readonly {
    readonly id: string;
    readonly uid: number;
    readonly tries: number;
    readonly choices: readonly string[];
  }[];
}

function fill(maildir: string): void {
  for (const folder of ["cur", "new", "tmp"]) mkdirSync(join(maildir, folder), { recursive: true });
  for (let uid = 1; uid <= 12; uid++) {
    const file = join(maildir, "cur", `${1_400_000_000 + uid}.M${uid}P1.host:2,`);
    writeFileSync(file, `Subject: letter ${uid}\n\nText number ${uid}\n`);
    if (unreadable.includes(uid)) chmodSync(file, 0);
  }
}

function mend(dovecot: Dovecot): void {
  for (const uid of unreadable)
    chmodSync(join(dovecot.maildirOf(user), "cur", `${1_400_000_000 + uid}.M${uid}P1.host:2,`), 0o644);
}

async function start(): Promise<{ dovecot: Dovecot; mailferry: Mailferry }> {
  const dovecot = await startDovecot({ users: [user], started: false });
  onTestFinished(() => dovecot.close());
  fill(dovecot.maildirOf(user));
  await dovecot.start();
  const mailferry = await startMailferry({ legacy: dovecot });
  onTestFinished(() => mailferry.close());
  await mailferry.client(user);
  expect((await run(mailferry, "migrate")).code).toBe(1);
  return { dovecot, mailferry };
}

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

async function listed(mailferry: Mailferry): Promise<Listed["problems"]> {
  return (JSON.parse((await run(mailferry, "problems", "--json")).stdout) as Listed).problems;
}

it("is listed with the same ids after a restart, and bars the cutover until each is accepted", async () => {
  const { mailferry } = await start();
  const before = await listed(mailferry);
  expect(before.map(({ uid, choices }) => [uid, choices])).toEqual(
    unreadable.map((uid) => [uid, ["retry", "accept"]]),
  );
  await mailferry.restart();
  const ids = before.map(({ id }) => id);
  expect((await listed(mailferry)).map(({ id }) => id)).toEqual(ids);
  await mailferry.client(user);
  expect((await run(mailferry, "problems", "--accept", "0000000000")).code).not.toBe(0);
  expect((await run(mailferry, "problems", "--refuse", `${ids[0]}`)).stderr).toContain("has no refuse");
  const first = await run(mailferry, "problems", "--accept", `${ids[0]}`);
  expect([first.code, first.stdout]).toEqual([0, expect.stringContaining("accepted by ")]);
  expect((await run(mailferry, "cutover")).stderr).toContain("UID 8");
});

it("is absent after the cutover once it is accepted as lost, and a rollback leaves it there", async () => {
  const { dovecot, mailferry } = await start();
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  expect((await run(mailferry, "problems", "--accept-kind", "message")).code).toBe(0);
  const verified = await run(mailferry, "verify");
  expect(verified.stdout).toMatch(/accepted by .*: message INBOX: UID 5: [\s\S]*UID 8: [\s\S]*\nequal/);
  expect((await client.ok("NOOP")).untagged.join("")).not.toContain("EXPUNGE");

  const cut = await run(mailferry, "cutover");
  expect([cut.code, cut.stderr]).toEqual([0, ""]);
  const told = (await client.ok("NOOP")).untagged.map(String);
  expect(told.filter((line) => line.includes("EXPUNGE"))).toEqual(["* 8 EXPUNGE", "* 5 EXPUNGE"]);
  const left = [1, 2, 3, 4, 6, 7, 9, 10, 11, 12];
  expect(String((await client.ok("UID SEARCH ALL")).untagged[0])).toBe(`* SEARCH ${left.join(" ")}`);
  expect((await run(mailferry, "status")).stdout).toContain("UID 5: accepted as lost by ");

  const back = await run(mailferry, "rollback");
  expect([back.code, back.stdout, back.stderr]).toEqual([0, expect.any(String), ""]);
  const straight = await dovecot.client(user);
  expect((await straight.ok("SELECT INBOX")).untagged.map(String)).toContain("* 12 EXISTS");
});

it("comes when it is tried again after the old server was mended", async () => {
  const { dovecot, mailferry } = await start();
  expect((await listed(mailferry)).map(({ uid }) => uid)).toEqual(unreadable);
  const failed = await run(mailferry, "problems", "--retry");
  expect(failed.code).toBe(0);
  expect((await listed(mailferry)).every(({ tries }) => tries > 1)).toBe(true);
  mend(dovecot);
  const retried = await run(mailferry, "problems", "--retry");
  expect([retried.code, retried.stdout]).toEqual([0, expect.stringContaining("nothing stands in the way")]);
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("what has failed after somebody accepted is not covered", async () => {
  const { dovecot, mailferry } = await start();
  expect((await run(mailferry, "problems", "--accept-kind", "message")).code).toBe(0);
  const file = join(dovecot.maildirOf(user), "cur", "1500000000.M99P1.host:2,");
  writeFileSync(file, "Subject: late\n\nLate\n");
  chmodSync(file, 0);
  expect((await run(mailferry, "cutover")).stderr).toContain("UID 13");
  expect((await listed(mailferry)).map(({ uid }) => uid)).toEqual([13]);
});
