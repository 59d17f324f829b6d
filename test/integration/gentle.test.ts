/** What an account costs the old server: counted by a proxy between the two, command by command. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CountingProxy, startCountingProxy } from "../helpers/counting-proxy.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const user = "alice";
const mail = (text: string): Buffer => Buffer.from(`Subject: ${text}\r\n\r\ntext\r\n`);
/** Every other one has gone: UIDs are not sequence numbers. */
const messages = 40;
const uids = Array.from({ length: messages / 2 }, (_, index) => 2 * index + 2);
const withoutModSeqs = "imap_capability = IMAP4rev1 IDLE UIDPLUS MOVE NAMESPACE UNSELECT ESEARCH LITERAL+";

let legacy: Dovecot;
let proxy: CountingProxy;
let mailferry: Mailferry;
let straight: ImapClient;

async function start(extraConfig: string): Promise<void> {
  legacy = await startDovecot({ users: [user], extraConfig });
  straight = await legacy.client(user);
  for (let number = 1; number <= messages; number++) await straight.ok("APPEND INBOX ", mail(`${number}`));
  await straight.ok("SELECT INBOX");
  await straight.ok(`STORE ${uids.map((uid) => uid - 1).join(",")} +FLAGS (\\Deleted)`);
  await straight.ok("EXPUNGE");
  proxy = await startCountingProxy(legacy.ports.imap);
  mailferry = await startMailferry({
    legacy: { host: legacy.host, passwordOf: legacy.passwordOf, ports: { imap: proxy.port } },
  });
}

/** A session in INBOX of an account that is complete, and nothing of that is under way any more. */
async function settled(): Promise<ImapClient> {
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  await idling();
  proxy.reset();
  return client;
}

/** The last that was sent is IDLE. */
const idling = (): Promise<unknown> =>
  waitUntil("the mailbox is watched", async () => proxy.commands().at(-1)?.verb === "IDLE");

/** What was asked, but for IDLE and what ends it. */
function asked(): Record<string, number> {
  const { IDLE: _, DONE: __, ...counts } = proxy.counts();
  return counts;
}

const told = (client: ImapClient, pattern: RegExp): Promise<unknown> =>
  waitUntil(`${pattern} is told`, async () => {
    const { untagged } = await client.ok("NOOP");
    return untagged.some((line) => pattern.test(line.toString("latin1")));
  });

async function searched(client: ImapClient, what: string): Promise<readonly number[]> {
  const { untagged } = await client.ok(`UID SEARCH ${what}`);
  const found = untagged.map((line) => line.toString("latin1")).find((line) => line.startsWith("* SEARCH"));
  return found?.match(/\d+/g)?.map(Number) ?? [];
}

afterEach(async () => {
  await mailferry.close();
  await proxy.close();
  await legacy.close();
});

describe.each([
  ["with CONDSTORE", ""],
  ["without CONDSTORE", `protocol imap {\n ${withoutModSeqs}\n}\n`],
])("an old server %s", (_, extraConfig) => {
  beforeEach(() => start(extraConfig));

  it("gets each STORE, and nothing else for it", async () => {
    const client = await settled();
    for (const sign of ["+", "-"])
      for (const uid of uids) await client.ok(`UID STORE ${uid} ${sign}FLAGS (\\Flagged)`);
    expect(asked()).toEqual({ "UID STORE": 2 * uids.length });
    expect(await searched(straight, "FLAGGED")).toEqual([]);
  });

  it("gets the STOREs of several sessions, and each session hears of all", async () => {
    const clients = [await settled()];
    for (let more = 0; more < 4; more++) {
      const client = await mailferry.client(user);
      await client.ok("SELECT INBOX");
      clients.push(client);
    }
    proxy.reset();
    await Promise.all(
      clients.map(async (client, index) => {
        for (const uid of uids.slice(index * 4, index * 4 + 4))
          await client.ok(`UID STORE ${uid} +FLAGS (\\Flagged)`);
      }),
    );
    expect(asked()).toEqual({ "UID STORE": uids.length });
    for (const client of clients) expect(await searched(client, "FLAGGED")).toEqual(uids);
  });

  it("is asked at most once by a SELECT or a STATUS of a mailbox that is open here", async () => {
    await settled();
    const other = await mailferry.client(user);
    for (let times = 0; times < 20; times++) await other.ok("SELECT INBOX");
    for (let times = 0; times < 20; times++) await other.ok("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)");
    const { NOOP: asks = 0, ...rest } = asked();
    expect(rest).toEqual({});
    expect(asks).toBeLessThanOrEqual(40);
  });

  it("is asked once for all NOOPs of a second", async () => {
    const client = await settled();
    const started = performance.now();
    for (let times = 0; times < 20; times++) await client.ok("NOOP");
    const seconds = Math.ceil((performance.now() - started) / 1000);
    const { NOOP: asks = 0, ...rest } = asked();
    expect(rest).toEqual({});
    expect(asks).toBeLessThanOrEqual(seconds);
  });

  it("is asked for a new mail, and for no listing", async () => {
    const client = await settled();
    await straight.ok("APPEND INBOX ", mail("new"));
    await told(client, /^\* 21 EXISTS/);
    const here = `mail/_/${user}/Maildir`;
    await waitUntil(`its bytes are below ${here}`, async () => {
      const { stdout } = await runCli(["status", "-c", mailferry.configFile, "--json"]);
      return JSON.parse(stdout)[0].messagesHere === uids.length + 1;
    });
    const { NOOP: _, ...counts } = asked();
    // What it is, and its bytes.
    expect(counts).toEqual({ "UID FETCH": 2 });
  });

  it("is not asked to select again for what others have changed and expunged", async () => {
    const client = await settled();
    await straight.ok("UID STORE 10 +FLAGS (\\Answered)");
    await told(client, /^\* 5 FETCH .*\\Answered/);
    await straight.ok("UID STORE 4,6 +FLAGS (\\Deleted)");
    await straight.ok("EXPUNGE");
    await told(client, /^\* 2 EXPUNGE/);
    expect(await searched(client, "ALL")).toEqual(uids.filter((uid) => uid !== 4 && uid !== 6));
    expect(asked()).not.toHaveProperty("SELECT");
    expect(asked()).not.toHaveProperty("EXAMINE");
  });

  it("selects nothing for APPEND, EXPUNGE, COPY and MOVE by clients either", async () => {
    const client = await settled();
    const { text } = await client.ok("APPEND INBOX ", mail("another"));
    expect(text).toMatch(/^\[APPENDUID \d+ 41\]/);
    await client.ok("UID STORE 2 +FLAGS (\\Deleted)");
    await client.ok("EXPUNGE");
    await client.ok("UID COPY 4 INBOX");
    await client.ok("UID MOVE 6 INBOX");
    const left = [...uids.filter((uid) => uid !== 2 && uid !== 6), 41, 42, 43];
    expect(await searched(client, "ALL")).toEqual(left);
    expect(asked()).not.toHaveProperty("SELECT");
    expect(asked()).not.toHaveProperty("EXAMINE");
  });
});

describe("an old server", () => {
  beforeEach(() => start(""));

  it("has a mailbox selected once, read-write where a client means to change something", async () => {
    const client = await mailferry.client(user);
    await client.ok("EXAMINE INBOX");
    expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
    await idling();
    proxy.reset();
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    await other.ok("UID STORE 2 +FLAGS (\\Flagged)");
    await client.ok("EXAMINE INBOX");
    expect(asked()).toMatchObject({ SELECT: 1, "UID STORE": 1 });
    expect(asked()).not.toHaveProperty("EXAMINE");
  });

  it("has one connection for an account that is logged in and quiet", async () => {
    const client = await settled();
    const before = proxy.connections;
    for (const uid of uids) await client.ok(`UID STORE ${uid} +FLAGS (\\Seen)`);
    await client.ok("NOOP");
    await client.ok('LIST "" "*"');
    expect(proxy.connections).toBe(before);
    const used = new Set(proxy.commands().map(({ connection }) => connection));
    expect(used.size).toBeLessThanOrEqual(2);
  });

  it("is looked at whole again after a lost connection, and goes on as before", async () => {
    const client = await settled();
    await legacy.stop("at once");
    await legacy.start();
    straight = await legacy.client(user);
    await straight.ok("SELECT INBOX");
    await straight.ok("UID STORE 8 +FLAGS (\\Answered)");
    await told(client, /FETCH .*\\Answered/);
    await idling();
    proxy.reset();
    for (const uid of uids) await client.ok(`UID STORE ${uid} +FLAGS (\\Flagged)`);
    expect(asked()).toEqual({ "UID STORE": uids.length });
  });
});
