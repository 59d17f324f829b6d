/**
 * kill -9 at the steps of a rollback: afterwards the account is wholly on one side, complete, and says which; and the
 * rollback can be brought to its end.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { runCli, stageOf, startMailferry } from "../helpers/mailferry.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { type AccountSnapshot, takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";
import type { KillRun } from "./kill-points.ts";

const user = "alice";
const killer = fileURLToPath(new URL("../helpers/kill-at.ts", import.meta.url));
/** Changes of the disk, and what is sent, within which a kill falls. */
const lastStep = 260;

/** Of every kind but new mailboxes, which get another UIDVALIDITY there. */
async function change(client: ImapClient, random: Random, round: number): Promise<void> {
  await client.ok("SELECT INBOX");
  for (let index = 0; index < 3; index++)
    await client.ok("APPEND INBOX (\\Seen kept) ", mailOf(`round-${round}-${index}`));
  await client.ok("NOOP");
  const { untagged } = await client.ok("UID SEARCH ALL");
  const uids = untagged.join().match(/\d+/g) ?? [];
  const [flagged, gone, copied] = [1, 2, 3].map(() => uids[random.below(uids.length)]);
  await client.ok(`UID STORE ${flagged} ${random.below(2) ? "+" : "-"}FLAGS (\\Flagged)`);
  await client.ok(`UID COPY ${copied} "Folder 1"`);
  await client.ok(`UID STORE ${gone} +FLAGS (\\Deleted)`);
  await client.ok("EXPUNGE");
  const [from, to] = round % 2 ? ["Folder 3", "Folder 2"] : ["Folder 2", "Folder 3"];
  await client.ok(`RENAME "${from}" "${to}"`);
}

const mailOf = (name: string): Buffer =>
  Buffer.from(
    `From: a@example.com\r\nSubject: ${name}\r\nMessage-ID: <${name}@example.com>\r\n\r\n${name}\r\n`,
  );

export async function killWhileRollingBack({ kills, seed = Date.now() % 1_000_000 }: KillRun): Promise<void> {
  console.log(`seed ${seed}`);
  const random = createRandom(seed);
  const legacy = await startDovecot({ users: [user], started: false });
  await fillAccount(legacy, user, plainAccount({ seed, messages: 60, sizeBytes: 2_000, mailboxes: 3 }));
  await legacy.start();
  const env: Record<string, string> = {};
  const mailferry = await startMailferry({ legacy, env });
  const folder = await mkdtemp(join(tmpdir(), "rollback-"));
  const cli = (command: string): ReturnType<typeof runCli> =>
    runCli([command, "-c", mailferry.configFile, user]);
  const same = (a: AccountSnapshot, b: AccountSnapshot): string[] =>
    diffSnapshots(a, b, { ignore: ["RECENT", "UIDNEXT"] });
  try {
    const straight = await legacy.client(user);
    const ends = { killed: 0, mirroring: 0 };
    const steps: string[] = [];
    for (let round = 0; round < kills; round++) {
      const trigger = join(folder, `now-${round}`);
      const step = 1 + random.below(lastStep);
      await mailferry.stop();
      Object.assign(env, {
        KILL_AT: String(step),
        KILL_WHEN: trigger,
        KILL_SENDS: "yes",
        NODE_OPTIONS: `--import=${killer}`,
      });
      await mailferry.start();
      const client = await mailferry.client(user);
      const begun = await cli("cutover");
      expect(begun.stderr + begun.stdout).toContain("alice: ");
      await change(client, random, round);
      const before = await takeSnapshot(client);
      await writeFile(trigger, "");
      const told = await cli("rollback");
      client.close();
      steps.push(`${step}${told.code === 0 ? " not reached" : ""}`);
      await mailferry.kill();
      for (const name of Object.keys(env)) delete env[name];
      await mailferry.start();
      const stage = await stageOf(mailferry, user);
      if (told.code === 0) expect(stage).not.toBe("local");
      else ends.killed++;
      if (stage !== "local") ends.mirroring++;
      const again = await mailferry.client(user);
      expect(same(before, await takeSnapshot(again)), stage).toEqual([]);
      if (stage === "local") {
        const finished = await cli("rollback");
        expect(finished.stderr + finished.stdout).toMatch(/^alice: the legacy server's again/);
        expect(same(before, await takeSnapshot(again))).toEqual([]);
      }
      await straight.ok("NOOP");
      expect(same(before, await takeSnapshot(straight)), `at the legacy server, was ${stage}`).toEqual([]);
    }
    console.log(steps.join(", "));
    console.log(
      `killed in the middle: ${ends.killed} of ${kills}, the legacy server's after the kill: ${ends.mirroring}`,
    );
  } finally {
    await mailferry.close();
    await legacy.close();
    await rm(folder, { recursive: true });
  }
}
