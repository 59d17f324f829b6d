/**
 * APPEND goes to the legacy server first, byte for byte; and when the connection breaks after it was sent,
 * no message is lost and none is doubled.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CuttingProxy, startCuttingProxy } from "../helpers/cutting-proxy.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import type { CommandResult, ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";
import { appendAndCut } from "./append-and-cut.ts";

const user = "alice";

describe("APPEND", () => {
  let legacy: Dovecot;
  let proxy: CuttingProxy;
  let mailferry: Mailferry;
  let through: ImapClient;

  beforeAll(async () => {
    legacy = await startDovecot({ users: [user] });
    proxy = await startCuttingProxy(legacy.ports.imap);
    mailferry = await startMailferry({
      legacy,
      legacyExtra: { imap: { host: "127.0.0.1", port: proxy.port, tls: "none" } },
    });
    through = await mailferry.client(user);
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
  const mail = (subject: string, bytes: number): Buffer =>
    Buffer.from(
      `Subject: ${subject}\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(Math.ceil(bytes / 72))}`,
      "latin1",
    );

  it.each([
    ["a small one", "INBOX", mail("small", 100)],
    ["with flags and a date", '"INBOX" (\\Seen $Work) "05-Mar-1999 03:04:05 -0730"', mail("dated", 2_000)],
    ["8-bit, no header, no end", "INBOX", Buffer.from("\xff\xe9 no header", "latin1")],
    ["a big one", "INBOX", mail("big", 5_000_000)],
  ])("%s lands on both sides", async (_name, where, message) => {
    const told = await through.ok(`APPEND ${where} `, message);
    expect(told.text).toMatch(/^\[APPENDUID \d+ \d+\]/);
    await sidesAreEqual();
  });

  it("appears in a session that has the mailbox open, before it is told", async () => {
    await through.ok("SELECT INBOX");
    const { untagged } = await through.ok("APPEND INBOX ", mail("seen at once", 100));
    expect(untagged.map(String)).toContain("* 5 EXISTS");
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    await through.ok("APPEND INBOX ", mail("seen by others", 100));
    expect((await other.ok("NOOP")).untagged.map(String)).toContain("* 6 EXISTS");
    other.close();
  });

  it("is refused in the legacy server's words", async () => {
    expect(answer(await through.command("APPEND nowhere ", mail("x", 10)))).toMatch(
      /^NO \[TRYCREATE\] Mailbox doesn't exist: nowhere/,
    );
    await sidesAreEqual();
  });

  it("cut at random points, no message is lost or doubled", { timeout: 120_000 }, () => appendAndCut(15));
});
