/**
 * Changes of messages go to the legacy server first: after each, its own snapshot equals Mailferry's; what
 * it refuses is refused in its words; an answer that never came is found out.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type CuttingProxy, startCuttingProxy } from "../helpers/cutting-proxy.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { CommandResult, ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

describe("changes of messages", () => {
  let legacy: Dovecot;
  let proxy: CuttingProxy;
  let mailferry: Mailferry;
  let through: ImapClient;

  beforeAll(async () => {
    legacy = await startDovecot({ users: [user], started: false });
    await fillAccount(legacy, user, plainAccount({ seed: 5, messages: 60, sizeBytes: 900 }));
    await legacy.start();
    proxy = await startCuttingProxy(legacy.ports.imap);
    mailferry = await startMailferry({
      legacy,
      legacyExtra: { imap: { host: "127.0.0.1", port: proxy.port, tls: "none" } },
    });
    through = await mailferry.client(user);
    await through.ok("CREATE Filed");
    await through.ok("SELECT INBOX");
  });
  afterAll(async () => {
    await mailferry?.close();
    await proxy?.close();
    await legacy?.close();
  });

  const sidesAreEqual = async (): Promise<void> => {
    const snapshotOf = async (server: Dovecot | Mailferry) => {
      const client = await server.client(user);
      const snapshot = await takeSnapshot(client);
      client.close();
      return snapshot;
    };
    const [there, here] = [await snapshotOf(legacy), await snapshotOf(mailferry)];
    expect(diffSnapshots(there, here, { ignore: ["RECENT"] })).toEqual([]);
  };
  const answer = ({ status, text }: CommandResult): string => `${status} ${text}`;
  const lines = ({ untagged }: CommandResult): string[] => untagged.map((line) => line.toString("latin1"));

  it("a mailbox can be changed, with the legacy server's PERMANENTFLAGS", async () => {
    const straight = await legacy.client(user);
    const permanent = (result: CommandResult): string | undefined =>
      lines(result)
        .find((line) => line.includes("PERMANENTFLAGS"))
        ?.replace(/\].*/, "");
    const there = await straight.ok("SELECT INBOX");
    const here = await through.ok("SELECT INBOX");
    expect(here.text).toMatch(/^\[READ-WRITE\]/);
    expect(permanent(here)).toBe(permanent(there));
    straight.close();
  });

  it.each([
    "STORE 1:5 +FLAGS (\\Flagged Work)",
    "UID STORE 3 -FLAGS.SILENT (\\Flagged)",
    "STORE 4 FLAGS (\\Answered $Label1)",
    "STORE 6:8 +FLAGS.SILENT (\\Deleted)",
    "UID EXPUNGE 1:100000",
    "COPY 1:3 Filed",
    "UID COPY 1:4 INBOX",
    "MOVE 2,4:5 Filed",
    "UID MOVE 1:20 Filed",
    "STORE 1:2 +FLAGS (\\Deleted)",
    "EXPUNGE",
    "FETCH 1:3 (BODY[TEXT])",
    "STORE 1 +FLAGS (\\Deleted)",
    "CLOSE",
    "SELECT INBOX",
  ])("%s leaves both sides equal", async (command) => {
    await through.ok(command);
    await sidesAreEqual();
  });

  it("tells the UIDs that the legacy server has given", async () => {
    const copied = await through.ok("COPY 1:2 Filed");
    expect(copied.text).toMatch(/^\[COPYUID \d+ \d+(:|,)\d+ \d+:\d+\]/);
    const moved = await through.ok("MOVE 1 Filed");
    expect(lines(moved)[0]).toMatch(/^\* OK \[COPYUID /);
    expect(lines(moved)).toContain("* 1 EXPUNGE");
  });

  it("is refused in the legacy server's words", async () => {
    const refused = await through.command("COPY 1 nowhere");
    expect(answer(refused)).toMatch(/^NO \[TRYCREATE\] Mailbox doesn't exist: nowhere/);
    await sidesAreEqual();
  });

  it("reaches other sessions", async () => {
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    const uid = /UID (\d+)/.exec(lines(await through.ok("FETCH 2 UID"))[0]!)![1]!;
    await through.ok(`UID STORE ${uid} +FLAGS (Seen2)`);
    expect(lines(await other.ok("NOOP")).join()).toMatch(new RegExp(`UID ${uid} FLAGS \\(.*Seen2`));
    await through.ok(`UID MOVE ${uid} Filed`);
    expect(lines(await other.ok("NOOP"))).toContain("* 2 EXPUNGE");
    other.close();
  });

  it.each([
    ["STORE 1:3 +FLAGS (Lost)", / STORE /],
    ["COPY 1:3 Filed", / COPY /],
    ["MOVE 1:2 Filed", / MOVE /],
  ])("%s: a lost answer is found out when it was done", async (command, pattern) => {
    proxy.cutNext(pattern, "after");
    const cuts = proxy.cuts;
    const told = await through.ok(command);
    expect(proxy.cuts).toBe(cuts + 1);
    if (command.startsWith("COPY")) expect(told.text).toMatch(/^\[COPYUID \d+ \S+ \S+\]/);
    await sidesAreEqual();
  });

  it("MOVE: a lost answer is found out though others saw the messages leave before", async () => {
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    proxy.cutNext(/ MOVE /, "long after");
    const moved = through.ok("MOVE 1 Filed");
    await expect.poll(() => proxy.hasFired).toBe(true);
    const [told] = await Promise.all([moved, other.ok("NOOP")]);
    expect(lines(told)[0]).toMatch(/^\* OK \[COPYUID /);
    other.close();
    await sidesAreEqual();
  });

  it("EXPUNGE: a lost answer is found out when it was done", async () => {
    await through.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)");
    proxy.cutNext(/ EXPUNGE\r\n/, "after");
    expect(lines(await through.ok("EXPUNGE")).filter((line) => / EXPUNGE$/.test(line))).toHaveLength(2);
    await sidesAreEqual();
  });

  it.each([
    ["STORE 1:3 +FLAGS (Never)", / STORE /],
    ["COPY 1:3 Filed", / COPY /],
    ["MOVE 1:2 Filed", / MOVE /],
  ])("%s: NO [UNAVAILABLE] when it was lost on its way", async (command, pattern) => {
    proxy.cutNext(pattern, "before");
    expect(answer(await through.command(command))).toMatch(/^NO \[UNAVAILABLE\]/);
    await sidesAreEqual();
  });

  it("NO [UNAVAILABLE] while the legacy server is away; what is here can be read, and all goes on", async () => {
    await through.ok("FETCH 1 BODY[]");
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    await legacy.stop("at once");
    // What is on its way while the server dies has an outcome that nobody knows, and ends its session.
    await other.command("STORE 1 +FLAGS (Dying)").catch(() => undefined);
    other.close();
    expect(answer(await through.command("STORE 1 +FLAGS (Away)"))).toMatch(/^NO \[UNAVAILABLE\]/);
    expect(answer(await through.command("COPY 1 Filed"))).toMatch(/^NO \[UNAVAILABLE\]/);
    await through.ok("FETCH 1 BODY[]");
    await legacy.start();
    await expect
      .poll(async () => (await through.command("STORE 1 +FLAGS (Back)")).status, { timeout: 10_000 })
      .toBe("OK");
    await sidesAreEqual();
  });
});
