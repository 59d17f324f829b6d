/** The way back: the legacy server holds what Mailferry held, under the same UIDs, and no client notices. */
import { describe, expect, it, onTestFinished } from "vitest";
import type { ImapClient } from "../helpers/imap-client.ts";
import { ignoredOf, type LegacyKind, type LegacyServer, legacyKinds } from "../helpers/legacy-server.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
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
  const made = new Set([...told.matchAll(/^(.*): it is new there/gm)].map(([, name]) => name));
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
