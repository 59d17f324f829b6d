/** Cutovers without a command, in front of a real Dovecot. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { stringify } from "yaml";
import { parseConfig } from "../../src/config.ts";
import { type CutoverPolicy, startCutoverPolicy } from "../../src/cutover-policy.ts";
import { silentLogger } from "../../src/log.ts";
import { createMailferry } from "../../src/server.ts";
import { plainAccount } from "../helpers/account-plans.ts";
import { startChaosProxy } from "../helpers/chaos-proxy.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { connectImap } from "../helpers/imap-client.ts";
import { runCli, startMailferry } from "../helpers/mailferry.ts";
import { createRandom } from "../helpers/random.ts";

const user = "alice";

async function filledDovecot(): Promise<Dovecot> {
  const legacy = await startDovecot({ users: [user], started: false });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 20, sizeBytes: 500, mailboxes: 1 }));
  await legacy.start();
  return legacy;
}

/** In this process, by a clock that the test sets. */
async function startHere(legacyPort: number, cutover: object) {
  const dataDir = await mkdtemp(join(tmpdir(), "policy-"));
  const config = parseConfig(
    stringify({
      dataDir,
      hostname: "localhost",
      listen: [{ protocol: "imap", address: "127.0.0.1", port: 0, tls: "none" }],
      legacy: [{ domains: ["*"], imap: { host: "127.0.0.1", port: legacyPort, tls: "none" } }],
      cutover: { auto: true, ...cutover },
    }),
    "mailferry.yaml",
  );
  const mailferry = await createMailferry(config, silentLogger);
  const clock = { now: new Date(2024, 1, 28, 12) };
  const begin = () =>
    startCutoverPolicy({
      config: config.cutover,
      mailferry,
      logger: silentLogger,
      now: () => clock.now,
      lookMs: 20,
    });
  const [listener] = await mailferry.listen();
  return {
    mailferry,
    clock,
    begin,
    subscriptions: join(dataDir, "mail", "_", user, "Maildir", "subscriptions"),
    note: () => mailferry.directory.cutoverNotes.read(user),
    stage: () => mailferry.directory.account(user)?.stage,
    async login(password: string) {
      const client = await connectImap({ port: listener?.port ?? 0 });
      await client.login(user, password);
      await client.ok("SELECT INBOX");
      return client;
    },
    async close(policy: CutoverPolicy) {
      policy.stop();
      await mailferry.close();
      await policy.ended;
      await rm(dataDir, { recursive: true });
    },
  };
}

it("cuts an account over by night, a day after both sides were found equal, under its open session", async () => {
  const legacy = await filledDovecot();
  const { clock, begin, subscriptions, note, stage, login, close } = await startHere(legacy.ports.imap, {
    afterVerifiedDays: 1,
    hours: "22:00-05:00",
  });
  const policy = begin();
  onTestFinished(() => close(policy));
  const client = await login(legacy.passwordOf(user));
  const idling = await client.idle();
  await expect.poll(() => note().equalSince, { timeout: 20_000 }).toEqual(clock.now);

  // The days begin anew.
  const text = await readFile(subscriptions, "latin1");
  await appendFile(subscriptions, "foreign\n");
  clock.now = new Date(2024, 1, 29, 12);
  await expect
    .poll(() => note(), { timeout: 20_000 })
    .toMatchObject({ equalSince: undefined, lookedAt: clock.now });
  expect(note().problem).toBe("both sides are not equal: foreign: in the file subscriptions only");
  await writeFile(subscriptions, text, "latin1");
  clock.now = new Date(2024, 1, 29, 23);
  await expect.poll(() => note().equalSince, { timeout: 20_000 }).toEqual(clock.now);
  expect(note().problem).toBeUndefined();

  clock.now = new Date(2024, 2, 1, 23);
  await expect.poll(stage, { timeout: 20_000 }).toBe("local");
  expect(note()).toMatchObject({ equalSince: undefined, problem: undefined, cutOverAt: expect.any(Date) });
  await (await login(legacy.passwordOf(user))).ok(
    "APPEND INBOX ",
    Buffer.from("Subject: new\r\n\r\ntext\r\n"),
  );
  await idling.until(/\* 21 EXISTS/);
  await idling.done();
  const straight = await legacy.client(user);
  expect((await straight.ok("STATUS INBOX (MESSAGES)")).untagged.join()).toContain("MESSAGES 20");
});

it("ends at once with the server, also while the old one is silent in a comparison", async () => {
  const legacy = await filledDovecot();
  const proxy = await startChaosProxy(legacy.ports.imap, createRandom(1));
  onTestFinished(() => proxy.close());
  const { mailferry, begin, note, stage, login, close } = await startHere(proxy.port, {});
  await login(legacy.passwordOf(user));
  await expect.poll(stage, { timeout: 20_000 }).toBe("complete");
  await expect.poll(() => mailferry.isPulling(user)).toBe(false);
  proxy.faults = [{ kind: "stall", maxBytes: 2_000 }];
  const policy = begin();
  await expect.poll(() => proxy.harm, { timeout: 20_000 }).toBeGreaterThan(0);
  expect(note()).toMatchObject({ equalSince: undefined, lookedAt: undefined });
  const started = performance.now();
  await close(policy);
  expect(performance.now() - started).toBeLessThan(8_000);
});

it("is told by status, and ends with the server", async () => {
  const legacy = await filledDovecot();
  const mailferry = await startMailferry({
    legacy,
    extra: {
      cutover: {
        auto: true,
        afterVerifiedDays: 0,
        hook: { command: ["/bin/sh", "-c", "echo wait; exit 1"] },
      },
    },
  });
  onTestFinished(() => mailferry.close());
  await (await mailferry.client(user)).ok("NOOP");
  const status = async () =>
    JSON.parse((await runCli(["status", "-c", mailferry.configFile, user, "--json"])).stdout);
  await expect.poll(status, { timeout: 40_000 }).toMatchObject({
    stage: "complete",
    equalSince: expect.stringMatching(/^2/),
    lastError: "automatic cutover: the hook refuses (exit code 1): wait",
  });
  // A difference that a command finds counts as one that the server has found.
  const file = join(mailferry.dataDir, "mail", "_", user, "Maildir", "subscriptions");
  await appendFile(file, "foreign\n");
  expect((await runCli(["verify", "-c", mailferry.configFile, user])).code).toBe(1);
  expect(await status()).toMatchObject({ stage: "complete", equalSince: null });
  expect(await mailferry.stop()).toBe(0);
  // It is known after a start, too.
  expect(await status()).toMatchObject({
    stage: "complete",
    lastError: "automatic cutover: the hook refuses (exit code 1): wait",
  });
});
