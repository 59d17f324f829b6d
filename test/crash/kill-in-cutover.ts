/** kill -9 at the steps of a cutover: afterwards the account is wholly on one side, complete, and says which. */
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { plainListeners, runCli, stageOf, startMailferry } from "../helpers/mailferry.ts";
import { createRandom } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";
import type { KillRun } from "./kill-points.ts";

const user = "alice";
const killer = fileURLToPath(new URL("../helpers/kill-at.ts", import.meta.url));
/** Changes of the disk within which a kill falls. */
const lastStep = 200;

export async function killWhileCuttingOver({ kills, seed = Date.now() % 1_000_000 }: KillRun): Promise<void> {
  console.log(`seed ${seed}`);
  const random = createRandom(seed);
  const legacy = await startDovecot({ users: [user], started: false });
  await fillAccount(legacy, user, plainAccount({ seed, messages: 60, sizeBytes: 2_000, mailboxes: 3 }));
  await legacy.start();
  const env: Record<string, string> = {};
  const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  const mailferry = await startMailferry({
    legacy,
    env,
    extra: { listen: plainListeners },
    legacyExtra: { pop3 },
  });
  const folder = await mkdtemp(join(tmpdir(), "cutover-"));
  const cutover = (): ReturnType<typeof runCli> => runCli(["cutover", "-c", mailferry.configFile, user]);
  try {
    const client = await mailferry.client(user);
    expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
    const before = await takeSnapshot(client);
    expect((await cutover()).code, "once, without a kill").toBe(0);
    await mailferry.stop();
    await rm(mailferry.dataDir, { recursive: true });
    await mailferry.start();
    await (await mailferry.client(user)).ok("NOOP");
    expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
    await mailferry.stop();
    await cp(mailferry.dataDir, folder, { recursive: true, preserveTimestamps: true });

    const ends = { killed: 0, local: 0 };
    const steps: string[] = [];
    for (let round = 0; round < kills; round++) {
      await mailferry.stop();
      await rm(mailferry.dataDir, { recursive: true });
      await cp(folder, mailferry.dataDir, { recursive: true, preserveTimestamps: true });
      const trigger = join(folder, "now");
      await rm(trigger, { force: true });
      const step = 1 + random.below(lastStep);
      Object.assign(env, {
        KILL_AT: String(step),
        KILL_WHEN: trigger,
        NODE_OPTIONS: `--import=${killer}`,
      });
      await mailferry.start();
      const working = await mailferry.client(user);
      expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
      await writeFile(trigger, "");
      const told = await cutover();
      working.close();
      steps.push(`${step}${told.code === 0 ? " not reached" : ""}`);
      await mailferry.kill();
      for (const name of Object.keys(env)) delete env[name];
      await mailferry.start();
      const stage = await stageOf(mailferry, user);
      // What was answered holds.
      if (told.code === 0) expect(stage).toBe("local");
      else ends.killed++;
      if (stage === "local") ends.local++;
      const again = await mailferry.client(user);
      const ignore = ["RECENT"] as const;
      expect(diffSnapshots(before, await takeSnapshot(again), { ignore }), stage).toEqual([]);
      if (stage === "local") continue;
      const finished = await cutover();
      expect(finished.code, finished.stderr).toBe(0);
      expect(diffSnapshots(before, await takeSnapshot(again), { ignore })).toEqual([]);
    }
    console.log(steps.join(", "));
    console.log(`killed in the middle: ${ends.killed} of ${kills}, local after the kill: ${ends.local}`);
  } finally {
    await mailferry.close();
    await legacy.close();
    await rm(folder, { recursive: true });
  }
}
