/**
 * A real Cyrus, whose UIDVALIDITY is the second in which a mailbox is made: two that were made in the same one have the
 * same, and one is put in the other's place. No UID that a client has cached gets other bytes.
 */
import { expect, it, onTestFinished } from "vitest";
import { startCyrus } from "../helpers/cyrus.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { cacheOf, expectNoneChanged, type UidCache } from "../helpers/uid-cache.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const user = "alice";

interface Rig {
  readonly straight: ImapClient;
  readonly mailferry: Mailferry;
  readonly client: ImapClient;
  readonly before: UidCache;
  readonly run: (command: string, ...options: string[]) => ReturnType<typeof runCli>;
}

/** Bills and Letters have one UIDVALIDITY, and as many messages under the same UIDs. */
async function start(): Promise<Rig> {
  const legacy = await startCyrus({ users: [user], config: ["munge8bit: no"] });
  onTestFinished(() => legacy.close());
  const straight = await legacy.client(user);
  let attempt = 0;
  await waitUntil("two mailboxes of one UIDVALIDITY are made", () => makeTwins(straight, ++attempt));
  for (const uid of [1, 2, 3]) {
    await append(straight, "Letters", letter(uid), `0${uid}-Mar-2020 10:00:00 +0000`);
    await append(straight, "Bills", bill(uid), `1${uid}-May-2021 10:00:00 +0000`);
  }
  const mailferry = await startMailferry({ legacy, extra: { deletions: { confirmAfter: 1 } } });
  onTestFinished(() => mailferry.close());
  const run = (command: string, ...options: string[]) =>
    runCli([command, "-c", mailferry.configFile, user, ...options]);
  const client = await mailferry.client(user);
  const before = await cacheOf(client, "Letters");
  expect([...(await cacheOf(client, "Bills")).keys()]).toEqual([...before.keys()]);
  await client.ok("CLOSE");
  expect((await run("migrate")).stdout).toContain("complete");
  return { straight, mailferry, client, before, run };
}

/** Each time under other names: Cyrus refuses to delete one twice in a second, and keeps UIDVALIDITYs at a RENAME. */
async function makeTwins(straight: ImapClient, attempt: number): Promise<boolean> {
  const names = ["Letters", "Bills"];
  const validities = new Set<string | undefined>();
  for (const name of names) await straight.ok(`CREATE ${name}${attempt}`);
  for (const name of names) {
    const { untagged } = await straight.ok(`STATUS ${name}${attempt} (UIDVALIDITY)`);
    validities.add(/UIDVALIDITY (\d+)/.exec(untagged.join())?.[1]);
  }
  const areTwins = validities.size === 1;
  for (const name of names)
    await straight.ok(areTwins ? `RENAME ${name}${attempt} ${name}` : `DELETE ${name}${attempt}`);
  return areTwins;
}

const text = (subject: string): string => `Subject: ${subject}\r\n\r\n${subject}\r\n`;
const letter = (uid: number): string => text(`Letter ${uid}`);
const bill = (uid: number): string => text(`A bill, number ${uid}, which is longer`);

async function append(client: ImapClient, mailbox: string, message: string, date: string): Promise<void> {
  await client.ok(`APPEND ${mailbox} "${date}" `, Buffer.from(message));
}

/** What happened is told, it bars the cutover, and the operator's word brings the account to its end. */
async function expectSettled(
  { run, client, straight }: Rig,
  decision: "--accept" | "--refuse",
): Promise<void> {
  expect((await run("status")).stdout).toContain("other messages under the same UIDVALIDITY");
  expect((await run("cutover")).stderr).toContain("both sides are not equal");
  const { problems } = JSON.parse((await run("problems", "--json")).stdout) as {
    problems: { id: string; kind: string; mailbox: string; choices: string[] }[];
  };
  const [others] = problems.filter(({ kind }) => kind === "others");
  expect(others).toMatchObject({ mailbox: "Letters", choices: ["accept", "refuse"] });
  expect((await run("problems", decision, others?.id ?? "")).code).toBe(0);
  const rescued = await client.command("SELECT Rescued");
  expect(rescued.status).toBe(decision === "--accept" ? "NO" : "OK");
  if (decision === "--refuse")
    expect([...(await cacheOf(client, "Rescued")).values()].sort()).toEqual([1, 2, 3].map(letter));
  await append(straight, "Letters", text("Afterwards"), "01-Jun-2022 10:00:00 +0000");
  await waitUntil("the other mailbox is gone for certain, and all is here", async () =>
    (await run("migrate")).stdout.includes("complete"),
  );
  const verified = await run("verify");
  expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining("equal")]);
  const cached = await cacheOf(client, "Letters");
  expect(cached.size).toBe(4);
  const cut = await run("cutover");
  expect([cut.code, cut.stderr]).toEqual([0, ""]);
  expect(await cacheOf(client, "Letters")).toEqual(cached);
}

for (const decision of ["--accept", "--refuse"] as const) {
  it(`others delete Letters and give its name to Bills, while clients are there: ${decision}`, async () => {
    const rig = await start();
    const { straight, client, before } = rig;
    await client.ok("SELECT Letters");
    await straight.ok("DELETE Letters");
    await straight.ok("RENAME Bills Letters");
    await client.ok('LIST "" "*"');
    const after = await cacheOf(client, "Letters");
    expect([...after.values()]).toEqual([1, 2, 3].map(bill));
    expectNoneChanged(before, after);
    await expectSettled(rig, decision);
  });
}

it("the same while nobody is there", async () => {
  const rig = await start();
  const { straight, mailferry, before } = rig;
  await rig.client.ok("LOGOUT");
  await mailferry.restart();
  await straight.ok("DELETE Letters");
  await straight.ok("RENAME Bills Letters");
  const client = await mailferry.client(user);
  const after = await cacheOf(client, "Letters");
  expect([...after.values()]).toEqual([1, 2, 3].map(bill));
  expectNoneChanged(before, after);
  await expectSettled({ ...rig, client }, "--refuse");
});

it("a client does it through Mailferry", async () => {
  const { mailferry, client, before, run } = await start();
  const other = await mailferry.client(user);
  await other.ok("DELETE Letters");
  await other.ok("RENAME Bills Letters");
  const after = await cacheOf(client, "Letters");
  expect([...after.values()]).toEqual([1, 2, 3].map(bill));
  expectNoneChanged(before, after);
  expect((await run("migrate")).stdout).toContain("complete");
  expect((await run("cutover")).code).toBe(0);
  expect(await cacheOf(client, "Letters")).toEqual(after);
});

it("a client renames a mailbox there and back: it stays what it was", async () => {
  const { client, before } = await start();
  await client.ok("RENAME Letters Post");
  await client.ok("RENAME Post Letters");
  expect(await cacheOf(client, "Letters")).toEqual(before);
});

it("others delete Letters, that is seen, and only then give its name to Bills", async () => {
  const { straight, client, before, run } = await start();
  await straight.ok("DELETE Letters");
  await waitUntil("it is gone", async () => {
    const { untagged } = await client.ok('LIST "" Letters');
    return untagged.length === 0 && !(await run("status")).stdout.includes("Letters");
  });
  await straight.ok("RENAME Bills Letters");
  await client.ok('LIST "" "*"');
  const after = await cacheOf(client, "Letters");
  expect([...after.values()]).toEqual([1, 2, 3].map(bill));
  expectNoneChanged(before, after);
});

it("cut over, renamed here, and rolled back: mail that comes late is brought over, and UIDs stay what they were", async () => {
  const { straight, mailferry, client, run } = await start();
  await straight.ok("DELETE Letters");
  await straight.ok("RENAME Bills Letters");
  await client.ok('LIST "" "*"');
  const cached = await cacheOf(client, "Letters");
  await client.ok("CLOSE");
  await waitUntil("the other mailbox is gone for certain, and all is here", async () => {
    await run("problems", "--accept-kind", "others");
    return (await run("migrate")).stdout.includes("complete");
  });
  expect((await run("cutover")).code).toBe(0);
  await client.ok("RENAME Letters Post");
  await append(client, "Post", text("Our own"), "01-Jun-2022 10:00:00 +0000");
  await append(straight, "Letters", text("Late"), "02-Jun-2022 10:00:00 +0000");
  await mailferry.restart();
  const again = await mailferry.client(user);
  await waitUntil("late mail is here", async () =>
    [...(await cacheOf(again, "Post")).values()].includes(text("Late")),
  );
  const local = await cacheOf(again, "Post");
  expect([...local]).toEqual(expect.arrayContaining([...cached]));
  await again.ok("CLOSE");
  const back = await run("rollback");
  expect([back.code, back.stderr]).toEqual([0, ""]);
  const there = [...(await cacheOf(straight, "Post")).values()];
  expect(there.sort()).toEqual([...local.values()].sort());
  expectNoneChanged(local, await cacheOf(again, "Post"));
  expect([...(await cacheOf(again, "Post"))]).toEqual(expect.arrayContaining([...cached]));
});

it("others rename it there and back once it is shown anew: no cached UID gets other bytes", async () => {
  const { straight, client, before, run } = await start();
  await straight.ok("DELETE Letters");
  await straight.ok("RENAME Bills Letters");
  await client.ok('LIST "" "*"');
  const anew = await cacheOf(client, "Letters");
  await client.ok("CLOSE");
  await straight.ok("RENAME Letters Post");
  await waitUntil("it is gone under that name", async () => {
    await client.ok('LIST "" "*"');
    return !(await run("status")).stdout.includes("Letters");
  });
  expect([...(await cacheOf(client, "Post")).values()]).toEqual([1, 2, 3].map(bill));
  await client.ok("CLOSE");
  await straight.ok("RENAME Post Letters");
  await client.ok('LIST "" "*"');
  const back = await cacheOf(client, "Letters");
  expect([...back.values()]).toEqual([1, 2, 3].map(bill));
  expectNoneChanged(before, back);
  expectNoneChanged(anew, back);
});
