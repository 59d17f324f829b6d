/** Whatever the legacy server is, a client sees through Mailferry what it sees there. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startCourier } from "../helpers/courier.ts";
import { withCrlf } from "../helpers/filler.ts";
import { fillOverImap } from "../helpers/filler-imap.ts";
import { ignoredOf, type LegacyKind, legacyKinds } from "../helpers/legacy-server.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { type AccountSnapshot, takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

describe.each(legacyKinds)("$name", (kind) => {
  it("is the same at the first login, when all is here, and while the legacy server is away", async () => {
    const legacy = await kind.start([user]);
    onTestFinished(() => legacy.close());
    const filling = await legacy.client(user);
    const plan = withCrlf(plainAccount({ messages: 60, sizeBytes: 2_000, mailboxes: 4 }));
    await fillOverImap(filling, plan, kind.layout);
    filling.close();
    const straight = await snapshotOf(legacy, kind);
    const mailferry = await startMailferry({ legacy });
    onTestFinished(() => mailferry.close());
    const difference = async () =>
      diffSnapshots(straight, await snapshotOf(mailferry, kind), { ignore: ignoredOf(kind) });
    expect(await difference()).toEqual([]);
    await expectDone("migrate", mailferry);
    expect(await difference()).toEqual([]);
    await expectDone("verify", mailferry);
    await mailferry.restart();
    expect(await difference()).toEqual([]);
  });
});

it("a Courier whose mail was used by POP3 only gives one UIDVALIDITY", async () => {
  const legacy = await startCourier({ users: [user] });
  onTestFinished(() => legacy.close());
  const file = join(legacy.maildirOf(user), "new", "1700000000.M1P1.host");
  await writeFile(file, "Subject: old\n\nold\n", { mode: 0o644 });
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const validity = async (server: Pick<Mailferry, "client">): Promise<string | undefined> => {
    const client = await server.client(user);
    const { untagged } = await client.ok("SELECT INBOX");
    client.close();
    return /UIDVALIDITY (\d+)/.exec(untagged.join("\n"))?.[1];
  };
  const first = await validity(mailferry);
  await expectDone("migrate", mailferry);
  await mailferry.restart();
  expect(await validity(mailferry)).toBe(first);
  expect(await validity(legacy)).toBe(first);
});

async function expectDone(command: string, { configFile }: Mailferry): Promise<void> {
  const { code, stdout, stderr } = await runCli([command, "-c", configFile, user]);
  expect(stdout + stderr).not.toContain("NOT EQUAL");
  expect(code, stdout + stderr).toBe(0);
}

async function snapshotOf(
  server: { client(user: string): Promise<Parameters<typeof takeSnapshot>[0]> },
  kind: LegacyKind,
): Promise<AccountSnapshot> {
  const client = await server.client(user);
  const snapshot = await takeSnapshot(client, kind.looks);
  await client.ok("LOGOUT");
  return snapshot;
}
