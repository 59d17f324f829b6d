/** Legacy servers with IMAP and POP3: a POP3 client never sees another UIDL, order, size or byte. */
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { alikeBytes, alikeMail } from "../helpers/alike-mail.ts";
import { startCourier } from "../helpers/courier.ts";
import { startCyrus } from "../helpers/cyrus.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { openMaildrop, seenMaildrop } from "../helpers/pop3-maildrop.ts";
import type { UnpackedServer } from "../helpers/unpacked-server.ts";

const user = "alice";

type Legacy = Pick<Dovecot | UnpackedServer, "host" | "ports" | "passwordOf" | "client">;

async function startInFrontOf(
  legacy: Legacy,
  pop3: Readonly<Record<string, unknown>> = {},
): Promise<Mailferry> {
  const entry = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners, pop3 },
    legacyExtra: { pop3: entry },
  });
  onTestFinished(() => mailferry.close());
  return mailferry;
}

async function migrate(mailferry: Mailferry): Promise<void> {
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(migrated.stdout).toContain("complete");
  expect(migrated.code).toBe(0);
}

/** At the first login, when all is here, after new and deleted mail, and in a second Dovecot. */
async function expectSameMaildrop(legacy: Legacy, mailferry: Mailferry): Promise<void> {
  const straight = await seenMaildrop(legacy.ports.pop3, user);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  await migrate(mailferry);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(straight);
  const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
  expect(verified.stdout).toContain(
    `POP3: ${straight.length} messages there, ${straight.length} here, 0 differences`,
  );
  expect(verified.code).toBe(0);

  const client = await legacy.client(user);
  await client.ok("APPEND INBOX ", Buffer.from("Subject: new\r\n\r\nnew\r\n"));
  const session = await openMaildrop(mailferry.port("pop3"), user);
  await session.remove(2);
  await session.remove(500);
  await session.quit();
  const after = await seenMaildrop(legacy.ports.pop3, user);
  expect(after).toHaveLength(straight.length - 1);
  expect(await seenMaildrop(mailferry.port("pop3"), user)).toEqual(after);

  expect(await mailferry.stop()).toBe(0);
  const second = await startDovecot({ users: [user], started: false });
  onTestFinished(() => second.close());
  await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await second.start();
  expect(await seenMaildrop(second.ports.pop3, user)).toEqual(after);
}

it.each([
  ["%08Xu%08Xv", false],
  ["%v.%u", true],
  ["%f", true],
  ["%g", false],
])("Dovecot with %s", async (format, pop3Order) => {
  const legacy = await startDovecot({
    users: [user],
    started: false,
    extraConfig: `protocol pop3 {\n  pop3_uidl_format = ${format}\n}\n`,
  });
  onTestFinished(() => legacy.close());
  await fillAccount(legacy, user, alikeMail(1_000, { pop3Order }));
  await legacy.start();
  await expectSameMaildrop(legacy, await startInFrontOf(legacy));
});

it.each(["cyrus", "uidonly"])("Cyrus with uidl_format %s", async (format) => {
  const legacy = await startCyrus({ users: [user], config: [`uidl_format: ${format}`, "munge8bit: no"] });
  onTestFinished(() => legacy.close());
  await fillInbox(legacy);
  await expectSameMaildrop(legacy, await startInFrontOf(legacy));
});

it("Courier", async () => {
  const legacy = await startCourier({ users: [user], config: ["IMAP_USELOCKS=0"] });
  onTestFinished(() => legacy.close());
  await fillInbox(legacy);
  await expectSameMaildrop(legacy, await startInFrontOf(legacy));
});

const servers = {
  Dovecot: () => startDovecot({ users: [user] }),
  Cyrus: () => startCyrus({ users: [user], config: ["munge8bit: no"] }),
  Courier: () => startCourier({ users: [user], config: ["IMAP_USELOCKS=0"] }),
};

it.each(Object.entries(servers))("what no client has read stays unread at %s", async (_, start) => {
  const legacy = await start();
  onTestFinished(() => legacy.close());
  const client = await legacy.client(user);
  for (let index = 0; index < 60; index++) await client.ok("APPEND INBOX ", alikeBytes(index));
  const mailferry = await startInFrontOf(legacy);
  await (await openMaildrop(mailferry.port("pop3"), user)).quit();
  await migrate(mailferry);
  const { untagged } = await client.ok("STATUS INBOX (UNSEEN)");
  expect(untagged.join("\n")).toContain("UNSEEN 60");
});

/** 1,000 messages, with gaps; by many at once, since these servers take their time for each. */
async function fillInbox(legacy: Legacy): Promise<void> {
  const width = 20;
  const clients = await Promise.all(Array.from({ length: width }, () => legacy.client(user)));
  const append = async (client: ImapClient, from: number): Promise<void> => {
    for (let index = from; index < 1_010; index += width) await client.ok("APPEND INBOX ", alikeBytes(index));
  };
  await Promise.all(clients.map(append));
  const [client] = clients;
  await client?.ok("SELECT INBOX");
  await client?.ok("STORE 3,10:12,14:18,900 +FLAGS.SILENT (\\Deleted)");
  await client?.ok("EXPUNGE");
  for (const one of clients) one.close();
}
