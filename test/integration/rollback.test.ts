/** The way back: the legacy server holds what Mailferry held, under the same UIDs, and no client notices. */
import { describe, expect, it, onTestFinished } from "vitest";
import type { ImapClient } from "../helpers/imap-client.ts";
import { ignoredOf, type LegacyKind, type LegacyServer, legacyKinds } from "../helpers/legacy-server.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";
import { repeating } from "../helpers/repeating.ts";
import { type AccountSnapshot, takeSnapshot } from "../helpers/snapshot.ts";
import { type DiffOptions, diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

const mail = (name: string): Buffer =>
  Buffer.from(
    `From: a@example.com\r\nMessage-ID: <${name}@example.com>\r\nSubject: ${name}\r\nDate: Mon, 02 Mar 2020 10:00:00 +0000\r\n\r\n${name}\r\n`,
  );

/** Mail in four mailboxes, brought across and cut over. */
async function startCutOver(
  kind: LegacyKind,
): Promise<{ legacy: LegacyServer; mailferry: Mailferry; client: ImapClient; straight: ImapClient }> {
  const legacy = await kind.start([user]);
  onTestFinished(() => legacy.close());
  const straight = await legacy.client(user);
  const { prefix } = kind.layout;
  for (const name of ["Work", "Old", "Plans"]) {
    await straight.ok(`CREATE ${prefix}${name}`);
    for (let index = 0; index < 5; index++)
      await straight.ok(`APPEND ${prefix}${name} (\\Seen) `, mail(`${name}-${index}`));
  }
  for (let index = 0; index < 20; index++) await straight.ok("APPEND INBOX ", mail(`inbox-${index}`));
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners },
    legacyExtra: { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user);
  const { stdout, stderr } = await cli(mailferry, "cutover");
  expect(stderr + stdout).toContain("alice: local");
  return { legacy, mailferry, client, straight };
}

function cli({ configFile }: Mailferry, command: string): ReturnType<typeof runCli> {
  return runCli([command, "-c", configFile, user]);
}

/** New mail, flags, deletions, mailboxes that come, go and get another name. */
async function workOn(client: ImapClient, { prefix }: LegacyKind["layout"]): Promise<void> {
  await client.ok("SELECT INBOX");
  await client.ok("UID STORE 2,3 +FLAGS (\\Flagged \\Seen)");
  await client.ok("UID STORE 5,7 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  for (const name of ["new-1", "new-2", "new-3"]) await client.ok("APPEND INBOX (\\Seen) ", mail(name));
  await client.ok("NOOP");
  await client.ok("STORE 20 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await client.ok(`APPEND INBOX (\\Flagged) "11-Oct-2020 10:00:00 +0000" `, mail("new-4"));
  await client.ok("NOOP");
  await client.ok(`COPY 1 ${prefix}Work`);
  await client.ok(`DELETE ${prefix}Old`);
  await client.ok(`RENAME ${prefix}Plans ${prefix}Ideas`);
  await client.ok(`CREATE ${prefix}New`);
  await client.ok(`SUBSCRIBE ${prefix}New`);
  await client.ok(`APPEND ${prefix}New `, mail("in-new"));
}

/** But for what was told: a mailbox that was made there has another UIDVALIDITY. */
function withoutMade({ mailboxes, ...rest }: AccountSnapshot, told: string): AccountSnapshot {
  const made = new Set(
    [...told.matchAll(/^(.*): (?:it is new|its UIDVALIDITY) there/gm)].map(([, name]) => name),
  );
  const lasting = ([item]: [string, string]): boolean => item !== "UIDVALIDITY" && item !== "UIDNEXT";
  return {
    ...rest,
    mailboxes: new Map(
      [...mailboxes].map(([name, { status, messages }]) => [
        name,
        { messages, status: made.has(name) ? new Map([...status].filter(lasting)) : status },
      ]),
    ),
  };
}

/** LSUB of some shows more than what was subscribed; Mailutils has no dates but those in the messages. */
function ignoredThere(kind: LegacyKind): NonNullable<DiffOptions["ignore"]> {
  const ignored = [...ignoredOf(kind), "UIDNEXT", "LSUB"] as const;
  return kind.name === "Mailutils" ? [...ignored, "INTERNALDATE", "LIST"] : ignored;
}

describe.each(legacyKinds)("$name", (kind) => {
  it("has what Mailferry had, under the same UIDs", async () => {
    const { mailferry, client, straight } = await startCutOver(kind);
    await workOn(client, kind.layout);
    const before = await takeSnapshot(client, kind.looks);
    const told = await cli(mailferry, "rollback");
    console.log(kind.name, told.stdout);
    expect(told.stderr + told.stdout).toContain("alice: the legacy server's again");
    const there = await takeSnapshot(straight, kind.looks);
    const kept = [before, there].map((snapshot) => withoutMade(snapshot, told.stdout)) as [
      AccountSnapshot,
      AccountSnapshot,
    ];
    expect(diffSnapshots(...kept, { ignore: ignoredThere(kind) })).toEqual([]);
    expect([...there.lsub.keys()]).toContain(`${kind.layout.prefix}New`);
    const migrated = await cli(mailferry, "migrate");
    expect(migrated.stdout).toContain("complete");
    const again = await mailferry.client(user);
    const here = await takeSnapshot(again, kind.looks);
    expect(diffSnapshots(there, here, { ignore: ignoredOf(kind) })).toEqual([]);
    const verified = await cli(mailferry, "verify");
    expect(verified.code, verified.stdout).toBe(0);
    // And it goes on as before: what is changed here is changed there.
    await again.ok("APPEND INBOX ", mail("afterwards"));
    const { untagged } = await straight.ok("STATUS INBOX (MESSAGES)");
    expect(untagged.join()).toContain("MESSAGES 22");
    expect((await cli(mailferry, "rollback")).stdout).toContain("nothing is to do");
    const once = await cli(mailferry, "cutover");
    expect(once.stderr + once.stdout).toContain("alice: local");
  });
});

const dovecot = legacyKinds.find(({ name }) => name === "Dovecot") as LegacyKind;

async function countOf(client: ImapClient): Promise<number> {
  const { untagged } = await client.ok("STATUS INBOX (MESSAGES)");
  return Number(/MESSAGES (\d+)/.exec(untagged.join("\n"))?.[1]);
}

async function uidsOf(client: ImapClient, criteria = "ALL"): Promise<string> {
  await client.ok("SELECT INBOX");
  return (
    /\* SEARCH(.*)/.exec((await client.ok(`UID SEARCH ${criteria}`)).untagged.join("\n"))?.[1]?.trim() ?? ""
  );
}

it("no session is ended, and no command fails, while it happens", async () => {
  const { mailferry, client: first, straight } = await startCutOver(dovecot);
  const clients = await Promise.all(Array.from({ length: 15 }, () => mailferry.client(user)));
  for (const client of clients) await client.ok("SELECT INBOX");
  const before = await countOf(first);
  const idlers = await Promise.all(clients.slice(0, 5).map((client) => client.idle()));
  const maildrop = await openMaildrop(mailferry.port("pop3"), user);
  const uidls = await maildrop.uidls();
  const working = [
    ...clients.slice(5, 8).map((client) => repeating(() => client.ok("FETCH 1:15 (UID FLAGS BODY.PEEK[])"))),
    ...clients
      .slice(8, 10)
      .map((client, index) =>
        repeating((round) => client.ok(`STORE ${index + 1}:10 ${round % 2 ? "+" : "-"}FLAGS (\\Flagged)`)),
      ),
    ...clients
      .slice(10, 12)
      .map((client, index) => repeating((round) => client.ok("APPEND INBOX ", mail(`by-${index}-${round}`)))),
  ];
  const told = await cli(mailferry, "rollback");
  expect(told.stderr + told.stdout).toContain("alice: the legacy server's again");
  const appended = (await Promise.all(working.map((work) => work.stop()))).slice(5);
  const expected = before + appended.reduce((sum, rounds) => sum + rounds, 0);
  console.log(told.stdout, "appended", appended);
  await Promise.all(idlers.map((idler) => idler.until(new RegExp(`\\* ${expected} EXISTS`))));
  await Promise.all(idlers.map((idler) => idler.done()));
  for (const client of clients) await client.ok("NOOP");
  const views = await Promise.all(
    clients.map(async (client) => (await client.ok("UID SEARCH ALL")).untagged.join("\n")),
  );
  expect(new Set(views).size).toBe(1);
  expect(await uidsOf(first)).toBe(await uidsOf(straight));
  await maildrop.remove(1);
  await maildrop.quit();
  await straight.ok("NOOP");
  expect(await countOf(straight)).toBe(expected - 1);
  const again = await openMaildrop(mailferry.port("pop3"), user);
  expect([...(await again.uidls()).values()].slice(0, uidls.size - 1)).toEqual([...uidls.values()].slice(1));
  await again.quit();
});

it("mail that came to the legacy server meanwhile is there once, and here", async () => {
  const { mailferry, client, straight } = await startCutOver(dovecot);
  await straight.ok("APPEND INBOX ", mail("brought-over"));
  await mailferry.restart();
  const again = await mailferry.client(user);
  await expect.poll(() => uidsOf(again, "SUBJECT brought-over"), { timeout: 10_000 }).not.toBe("");
  await again.ok("APPEND INBOX ", mail("own"));
  await straight.ok("APPEND INBOX ", mail("late"));
  const before = await uidsOf(again);
  const told = await cli(mailferry, "rollback");
  expect(told.stderr + told.stdout).toMatch(/^alice: the legacy server's again/);
  for (const name of ["brought-over", "own", "late"])
    expect(await uidsOf(straight, `SUBJECT ${name}`)).toMatch(/^\d+$/);
  expect((await uidsOf(straight)).split(" ")).toEqual(expect.arrayContaining(before.split(" ")));
  await expect.poll(() => uidsOf(again), { timeout: 10_000 }).toBe(await uidsOf(straight));
  client.close();
});

it("a message whose UID was taken there gets another one, and is named", async () => {
  const { mailferry, client, straight } = await startCutOver(dovecot);
  await client.ok("APPEND INBOX ", mail("own"));
  const own = await uidsOf(client, "SUBJECT own");
  // More than the gap between the two sides' UIDs holds.
  for (let index = 0; index < 110; index++) await straight.ok("APPEND INBOX ", mail(`late-${index}`));
  const told = await cli(mailferry, "rollback");
  console.log(told.stdout);
  expect(told.stdout).toContain(`INBOX: the message of UID ${own} has UID `);
  expect(await uidsOf(straight, "SUBJECT own")).toMatch(/^\d+$/);
  await expect.poll(() => uidsOf(client), { timeout: 10_000 }).toBe(await uidsOf(straight));
  expect(await countOf(client)).toBe(131);
});

it("is refused while the legacy server is away, and the account stays whole", async () => {
  const { legacy, mailferry, client } = await startCutOver(dovecot);
  await workOn(client, dovecot.layout);
  const before = await takeSnapshot(client);
  await legacy.close();
  const told = await cli(mailferry, "rollback");
  expect(told.code).toBe(1);
  expect(told.stderr).toMatch(/ECONNREFUSED|not available|away/);
  expect(diffSnapshots(before, await takeSnapshot(client), { ignore: ["RECENT"] })).toEqual([]);
  await mailferry.restart();
  expect(
    diffSnapshots(before, await takeSnapshot(await mailferry.client(user)), { ignore: ["RECENT"] }),
  ).toEqual([]);
});

it("a client that goes straight to the legacy server hears of what changes there from now on", async () => {
  const { mailferry, client, straight } = await startCutOver(dovecot);
  await client.ok("SELECT INBOX");
  for (let round = 0; round < 40; round++)
    await client.ok(`STORE 1 ${round % 2 ? "-" : "+"}FLAGS (\\Flagged)`);
  const highestOf = async (one: ImapClient): Promise<number> => {
    const { untagged } = await one.ok("STATUS INBOX (HIGHESTMODSEQ)");
    return Number(/HIGHESTMODSEQ (\d+)/.exec(untagged.join("\n"))?.[1]);
  };
  const before = await highestOf(client);
  expect(await highestOf(straight)).toBeLessThan(before);
  expect((await cli(mailferry, "rollback")).code).toBe(0);
  expect(await highestOf(straight)).toBeGreaterThanOrEqual(before);
  await straight.ok("SELECT INBOX");
  await straight.ok("UID STORE 2 +FLAGS (\\Answered)");
  for (const one of [straight, client]) {
    // The legacy server is asked once a second.
    await expect
      .poll(async () => {
        await one.ok("NOOP");
        const { untagged } = await one.ok(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${before})`);
        return untagged.filter((line) => line.includes("UID 2 ")).length;
      })
      .toBe(1);
  }
});
