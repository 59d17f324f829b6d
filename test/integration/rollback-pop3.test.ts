/** The way back to a legacy server with POP3 only: what was deleted here goes there, and all else goes on. */
import { expect, it, onTestFinished } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { seenMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";

it("deletes there what was deleted here, under open sessions", async () => {
  const legacy = await startDovecot({
    users: [user],
    started: false,
    extraConfig: "protocol pop3 {\n  pop3_uidl_format = %f\n}\n",
  });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, plainAccount({ messages: 30, sizeBytes: 500 }));
  await legacy.start();
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners },
    legacyExtra: { imap: undefined, pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  const cli = (command: string): ReturnType<typeof runCli> =>
    runCli([command, "-c", mailferry.configFile, user]);
  const client = await mailferry.client(user);
  const told = await cli("cutover");
  expect(told.stdout + told.stderr).toContain("alice: local");
  await client.ok("SELECT INBOX");
  await client.ok("UID STORE 3,5 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await client.ok("CREATE Filed");
  await client.ok("UID COPY 7 Filed");
  const straight = await legacy.client(user);
  await straight.ok("APPEND INBOX ", Buffer.from("Subject: late\r\n\r\nlate\r\n"));
  const back = await cli("rollback");
  expect(back.stderr + back.stdout).toBe(
    `Filed: its 1 messages stay here\nalice: the legacy server's again; changes waited for ${/waited for (\d+)/.exec(back.stdout)?.[1]} ms\n`,
  );
  await client.ok("UID STORE 9 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  const migrated = await cli("migrate");
  expect(migrated.stdout).toContain("complete: ");
  await expect.poll(async () => (await seenMaildrop(legacy.ports.pop3, user)).length).toBe(28);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(
    await seenMaildrop(legacy.ports.pop3, user),
  );
  await client.ok("NOOP");
  const { untagged } = await client.ok("UID SEARCH ALL");
  expect(untagged.join().match(/\d+/g)).toHaveLength(28);
  expect((await cli("verify")).stdout).toContain("equal");
  expect((await cli("rollback")).stdout).toContain("nothing is to do");
});
