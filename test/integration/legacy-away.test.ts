/**
 * The legacy server stops in mid-session: what is here is still served, and everything goes on when it is
 * back.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const user = "alice";
const messages = 60;

describe("while the legacy server is away", () => {
  let legacy: Dovecot;
  let mailferry: Mailferry;
  let client: ImapClient;

  beforeAll(async () => {
    legacy = await startDovecot({ users: [user], started: false });
    // Enough that the background cannot have it all before the server is gone.
    await fillAccount(legacy, user, plainAccount({ seed: 3, messages, sizeBytes: 8_000_000 }));
    await legacy.start();
    mailferry = await startMailferry({ legacy });
    client = await mailferry.client(user);
    await client.ok('LIST "" *');
    await client.ok("SELECT INBOX");
    await client.ok(`UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)`);
    await client.ok(`FETCH ${messages} BODY.PEEK[]`);
    await legacy.stop("at once");
  });
  afterAll(async () => {
    await mailferry?.close();
    await legacy?.close();
  });

  it("serves what is here", async () => {
    const flags = await client.ok("FETCH 1:* (UID FLAGS)");
    expect(flags.untagged.filter((line) => /FETCH/.test(line.toString("latin1")))).toHaveLength(messages);
    const body = await client.ok(`FETCH ${messages} BODY.PEEK[]`);
    expect(body.untagged[0]!.length).toBeGreaterThan(7_000_000);
    await client.ok("NOOP");
    const list = await client.ok('LIST "" *');
    expect(list.untagged.map(String).join()).toContain("INBOX");
    await client.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)");
  });

  it("lets a user in whose password the legacy server has accepted before, and no other", async () => {
    const second = await mailferry.client(user);
    await second.ok("SELECT INBOX");
    await second.ok("LOGOUT");
    const { connectImap } = await import("../helpers/imap-client.ts");
    const third = await connectImap({ port: mailferry.port("imap") });
    const refused = await third.command(`LOGIN ${user} wrong`);
    expect(`${refused.status} ${refused.text}`).toMatch(/^NO \[UNAVAILABLE\]/);
    third.close();
  });

  it("ends a session that asks for bytes which are not here with BYE, never with NO", async () => {
    const ended = await client.command("FETCH 1 BODY.PEEK[]").then(
      ({ status, text }) => `${status} ${text}`,
      (error: Error) => error.message,
    );
    expect(ended).toMatch(/BYE|closed|ended/i);
  });

  it("goes on when it is back", async () => {
    await legacy.start();
    await waitUntil("the oldest message can be read", async () => {
      const back = await mailferry.client(user);
      await back.ok("SELECT INBOX");
      // While the last failure is fresh, a session that asks is sent away and comes again.
      const body = await back.ok("FETCH 1 BODY.PEEK[]").catch(() => undefined);
      back.close();
      return body?.untagged.some((line) => line.length > 7_000_000) === true;
    });
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
  });
});
