/** POP3 clients of an account whose legacy server has IMAP only, and of a local account. */
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openPop3, type Pop3Session } from "../../src/legacy/pop3-client.ts";
import { Secret } from "../../src/mail/secret.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { createAccount, type Mailferry, plainListeners, startMailferry } from "../helpers/mailferry.ts";
import { oddMails } from "../helpers/odd-mail.ts";

const user = "alice";
const password = "pass-alice";
const { signal } = new AbortController();

const extra = { listen: plainListeners };

async function startBoth(): Promise<{ legacy: Dovecot; mailferry: Mailferry }> {
  const legacy = await startDovecot({ users: [user] });
  onTestFinished(() => legacy.close());
  const mailferry = await startMailferry({ legacy, extra });
  onTestFinished(() => mailferry.close());
  return { legacy, mailferry };
}

const open = (port: number): Promise<Pop3Session> =>
  openPop3(
    { host: "127.0.0.1", port, tls: "none", verify: false },
    { login: user, password: new Secret(password) },
    signal,
  );

/**
 * With CRLF line ends: a Maildir of Dovecot's shows no others. Without NULs: Dovecot's IMAP, where our bytes are from,
 * shows 0x80 for them, its POP3 does not.
 */
function mails(seed: number, count: number): Buffer[] {
  return oddMails(seed)
    .filter(({ bytes }) => bytes.length > 0 && !bytes.includes(0))
    .slice(0, count)
    .map(({ bytes }) => Buffer.from(bytes.toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1"));
}

/** Everything that a POP3 client sees, in order. */
async function maildropOf(port: number): Promise<unknown[]> {
  const session = await open(port);
  const [sizes, uidls] = [await session.list(), await session.uidls()];
  const seen: unknown[] = [];
  for (const [number, size] of sizes) {
    const pieces: Buffer[] = [];
    await session.retrieve(number, (bytes) => void pieces.push(Buffer.from(bytes)));
    const top = await session.top(number, 1);
    seen.push([
      number,
      size,
      uidls.get(number),
      Buffer.concat(pieces).toString("latin1"),
      top.toString("latin1"),
    ]);
  }
  await session.quit();
  return seen;
}

it("shows what the legacy server's own POP3 shows, by the same UIDLs, and what is deleted is gone there", async () => {
  const { legacy, mailferry } = await startBoth();
  const client = await legacy.client(user);
  for (const bytes of mails(3, 40)) await client.ok("APPEND INBOX ", bytes);
  await client.ok("SELECT INBOX");
  await client.ok("UID STORE 2,5 +FLAGS.SILENT (\\Deleted)");
  await client.ok("EXPUNGE");
  const straight = await maildropOf(legacy.ports.pop3);
  expect(straight).toHaveLength(38);
  expect(await maildropOf(mailferry.port("pop3"))).toEqual(straight);
  await mailferry.restart();
  expect(await maildropOf(mailferry.port("pop3"))).toEqual(straight);

  const session = await open(mailferry.port("pop3"));
  await expect(open(mailferry.port("pop3"))).rejects.toMatchObject({ code: "INUSE" });
  await session.remove(1);
  await session.remove(38);
  session.close();
  await expect.poll(async () => (await maildropOf(mailferry.port("pop3"))).length).toBe(38);
  const last = await open(mailferry.port("pop3"));
  await last.remove(1);
  await last.remove(38);
  await last.quit();
  await client.ok("NOOP");
  const uids = (await client.ok("UID SEARCH ALL")).untagged
    .map(String)
    .find((line) => line.startsWith("* SEARCH"));
  expect(uids?.split(" ").slice(2)).toHaveLength(36);
  expect(await maildropOf(mailferry.port("pop3"))).toEqual(await maildropOf(legacy.ports.pop3));
});

it("a local account's maildrop is what Dovecot shows of the Maildir", async () => {
  const mailferry = await startMailferry({ extra });
  onTestFinished(() => mailferry.close());
  await createAccount(mailferry, user, password);
  const client = await mailferry.client(user, password);
  for (const bytes of mails(4, 20)) await client.ok("APPEND INBOX ", bytes);
  await client.ok("SELECT INBOX");
  await client.ok("STORE 3 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  const here = await maildropOf(mailferry.port("pop3"));
  expect(here).toHaveLength(19);
  expect(await mailferry.stop()).toBe(0);
  const second = await startDovecot({ users: [user], started: false });
  onTestFinished(() => second.close());
  await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await second.start();
  expect(await maildropOf(second.ports.pop3)).toEqual(here);
});
