/**
 * Clients with QRESYNC (RFC 7162): what they saved at the legacy server holds here, and they are told what has
 * changed since, and no more.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { createAccount, type Mailferry, stageOf, startMailferry } from "../helpers/mailferry.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { type Answer, answerOf, comeBack, type Known, lookAtAll } from "../helpers/resync-client.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const user = "alice";

async function startBoth(extraConfig = ""): Promise<{ legacy: Dovecot; mailferry: Mailferry }> {
  const legacy = await startDovecot({ users: [user], extraConfig });
  onTestFinished(() => legacy.close());
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  return { legacy, mailferry };
}

async function append(client: ImapClient, ...subjects: string[]): Promise<void> {
  for (const subject of subjects) {
    const text = Buffer.from(`Subject: ${subject}\r\n\r\ntext\r\n`);
    await client.ok("APPEND INBOX ", text);
  }
}

/** As after a repair: UIDs are kept in dovecot-uidlist. */
async function removeIndexes({ root }: Dovecot): Promise<void> {
  for (const path of await readdir(root, { recursive: true }))
    if (/dovecot\.(index|list\.index)[^/]*$/.test(path)) await rm(join(root, path));
}

const deltaOf = (answer: Answer): Answer =>
  answer.filter((line) => /VANISHED|FETCH|HIGHESTMODSEQ|EXISTS/.test(line));

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `no. ${index}`);

it("a dialogue that was begun at the legacy server is continued here: only the delta comes", async () => {
  const { legacy, mailferry } = await startBoth();
  const old = await legacy.client(user);
  await append(old, ...numbered(60));
  const known = await lookAtAll(old, "INBOX");
  old.close();

  const other = await legacy.client(user);
  await other.ok("SELECT INBOX");
  await other.ok("UID STORE 5,17 +FLAGS.SILENT (\\Seen $Label1)");
  await other.ok("UID STORE 20:23,60 +FLAGS.SILENT (\\Deleted)");
  await other.ok("EXPUNGE");
  await append(other, "new one", "new two");

  const straight = await comeBack(await legacy.client(user), "INBOX", known, false);
  expect(deltaOf(straight.answer).filter((line) => /FETCH|VANISHED/.test(line))).toHaveLength(5);
  for (const withUids of [false, true]) {
    const expected = await comeBack(await legacy.client(user), "INBOX", known, withUids);
    const through = await comeBack(await mailferry.client(user), "INBOX", known, withUids);
    expect(deltaOf(through.answer)).toEqual(deltaOf(expected.answer));
    expect(through.known).toEqual(expected.known);
  }

  // Once everything is here, after a restart, and with the legacy server gone.
  await mailferry.restart();
  const later = await mailferry.client(user);
  expect(deltaOf((await comeBack(later, "INBOX", known, false)).answer)).toEqual(deltaOf(straight.answer));
  await other.ok("UID STORE 1:3 +FLAGS.SILENT (\\Deleted)");
  await other.ok("EXPUNGE");
  const again = await comeBack(await legacy.client(user), "INBOX", straight.known, true);
  const here = await comeBack(await mailferry.client(user), "INBOX", straight.known, true);
  expect(deltaOf(here.answer)).toEqual(deltaOf(again.answer));
  await waitUntil("everything is here", async () => (await stageOf(mailferry, user)) === "complete");
  await legacy.stop();
  const offline = await comeBack(await mailferry.client(user), "INBOX", straight.known, true);
  expect(deltaOf(offline.answer)).toEqual(deltaOf(again.answer));
});

it("tells of messages that came and went at the legacy server without being seen here", async () => {
  const { legacy, mailferry } = await startBoth();
  const old = await legacy.client(user);
  await append(old, ...numbered(5));
  (await mailferry.client(user)).close();
  await lookAtAll(await mailferry.client(user), "INBOX");
  await append(old, "short-lived", "longer-lived");
  const known = await lookAtAll(old, "INBOX");
  await old.ok("UID STORE 6 +FLAGS.SILENT (\\Deleted)");
  await old.ok("EXPUNGE");
  const { known: now, answer } = await comeBack(await mailferry.client(user), "INBOX", known, false);
  expect(answer).toContain("* VANISHED (EARLIER) 6");
  expect([...now.flags.keys()]).toEqual([1, 2, 3, 4, 5, 7]);
});

it("goes on when the legacy server has lost its MODSEQs: they begin anew, lower", async () => {
  const { legacy, mailferry } = await startBoth();
  const old = await legacy.client(user);
  await append(old, ...numbered(3));
  await old.ok("SELECT INBOX (CONDSTORE)");
  for (let round = 0; round < 20; round++)
    await old.ok(`STORE 1:2 ${round % 2 ? "-" : "+"}FLAGS (\\Flagged)`);
  old.close();
  await lookAtAll(await mailferry.client(user), "INBOX");
  await mailferry.stop();
  await legacy.stop();
  await removeIndexes(legacy);
  await legacy.start();
  await mailferry.start();
  const direct = await legacy.client(user);
  await direct.ok("SELECT INBOX");
  await direct.ok("STORE 1 +FLAGS (\\Answered)");
  const client = await mailferry.client(user);
  const { flags } = await lookAtAll(client, "INBOX");
  expect(flags.get(1)).toBe("\\Answered");
  const stored = await answerOf(client, "STORE 2 +FLAGS (\\Seen)");
  expect(stored.join()).toMatch(/2 FETCH .*FLAGS \(\\Seen/);
});

interface Place {
  readonly name: string;
  client(): Promise<ImapClient>;
}

/** Comes and goes, at one place or the other, while the mailbox changes at both. */
async function wander(places: readonly Place[], seed: number, rounds: number): Promise<void> {
  const random = createRandom(seed);
  const anyPlace = (): Place => random.pick(places);
  await append(await anyPlace().client(), ...numbered(12));
  let visits: Known[] = [];
  for (let round = 0; round < rounds; round++) {
    await change(await anyPlace().client(), random);
    const place = anyPlace();
    const fresh = await lookAtAll(await place.client(), "INBOX");
    for (const known of visits) {
      const client = await place.client();
      const { known: now } = await comeBack(client, "INBOX", known, random.chance(0.5));
      client.close();
      const where = `seed ${seed}, round ${round}, at ${place.name}, since ${known.highestModSeq}`;
      expect([...now.flags].sort(), where).toEqual([...fresh.flags].sort());
    }
    visits = [...visits, fresh].slice(-4);
  }
}

async function change(client: ImapClient, random: Random): Promise<void> {
  const { flags } = await lookAtAll(client, "INBOX");
  const uids = [...flags.keys()];
  const some = (): string => Array.from({ length: 1 + random.below(3) }, () => random.pick(uids)).join(",");
  const names = ["\\Seen", "\\Flagged", "\\Answered", "$Label1"];
  for (let step = 0; step < 3; step++) {
    const kind = uids.length < 6 ? 0 : random.below(4);
    if (kind === 0) await append(client, "one more");
    else if (kind === 1) await client.ok(`UID STORE ${some()} +FLAGS (${random.pick(names)})`);
    else if (kind === 2) await client.ok(`UID STORE ${some()} -FLAGS.SILENT (${random.pick(names)})`);
    else {
      await client.ok(`UID STORE ${some()} +FLAGS.SILENT (\\Deleted)`);
      await client.ok("EXPUNGE");
    }
  }
  client.close();
}

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1_000_000));

it(`clients come and go between the legacy server and here (seed ${seed})`, async () => {
  const { legacy, mailferry } = await startBoth();
  const places: Place[] = [
    { name: "the legacy server", client: () => legacy.client(user) },
    { name: "Mailferry", client: () => mailferry.client(user) },
  ];
  await wander(places, seed, 12);
});

it(`a legacy server without CONDSTORE: MODSEQs begin here (seed ${seed})`, async () => {
  const { legacy, mailferry } = await startBoth(
    "protocol imap {\n imap_capability = IMAP4rev1 IDLE UIDPLUS MOVE NAMESPACE UNSELECT LITERAL+\n}\n",
  );
  const direct = await legacy.client(user);
  await append(direct, "before");
  await wander([{ name: "Mailferry", client: () => mailferry.client(user) }], seed, 6);
  const known = await lookAtAll(await mailferry.client(user), "INBOX");
  await mailferry.restart();
  await direct.ok("SELECT INBOX");
  await direct.ok("STORE 1 +FLAGS (\\Deleted)");
  await direct.ok("STORE 2 +FLAGS ($Changed)");
  await direct.ok("EXPUNGE");
  await append(direct, "after");
  const { known: now, answer } = await comeBack(await mailferry.client(user), "INBOX", known, true);
  expect(now.flags).toEqual((await lookAtAll(await mailferry.client(user), "INBOX")).flags);
  expect(answer.filter((line) => /FETCH/.test(line))).toHaveLength(1);
  expect(answer.filter((line) => /VANISHED/.test(line))).toHaveLength(1);
});

it(`in a local account, over restarts and without its index (seed ${seed})`, async () => {
  const mailferry = await startMailferry({});
  onTestFinished(() => mailferry.close());
  await createAccount(mailferry, user, "pass");
  const place: Place = { name: "Mailferry", client: () => mailferry.client(user, "pass") };
  await wander([place], seed, 8);
  const known = await lookAtAll(await place.client(), "INBOX");
  const changed = await place.client();
  await change(changed, createRandom(seed));
  const fresh = await lookAtAll(await place.client(), "INBOX");
  await mailferry.kill();
  for (const suffix of ["", "-wal", "-shm"])
    await rm(join(mailferry.dataDir, "mail", "_", user, `index.db${suffix}`), { force: true });
  await mailferry.start();
  const { known: now } = await comeBack(await place.client(), "INBOX", known, false);
  expect(now.flags).toEqual(fresh.flags);
  expect(now.highestModSeq).toBeGreaterThanOrEqual(fresh.highestModSeq);
});
