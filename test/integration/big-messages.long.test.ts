import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { runCli, startMailferry } from "../helpers/mailferry.ts";
import { serverMemoryBytes } from "../helpers/server-memory.ts";

const user = "alice";

it("ten messages of 100 MB are pulled in bounded memory", async () => {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  const large = { count: 10, sizeBytes: 100_000_000 };
  await fillAccount(legacy, user, plainAccount({ messages: 20, sizeBytes: 1_000, large }));
  await legacy.start();
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  await (await mailferry.client(user)).ok("NOOP");
  const before = serverMemoryBytes(mailferry.pid);
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, serverMemoryBytes(mailferry.pid));
  }, 20);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user], { timeoutMs: 600_000 });
  clearInterval(timer);
  expect(migrated.code, migrated.stdout + migrated.stderr).toBe(0);
  console.log(`memory: ${Math.round(before / 1e6)} MB at the start, ${Math.round(peak / 1e6)} MB at most`);
  expect(peak - before).toBeLessThan(250_000_000);
});
