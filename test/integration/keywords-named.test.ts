/** Keywords: FLAGS names each before a message shows it, and PERMANENTFLAGS has those that FLAGS has (RFC 3501 7.2.6, 7.1). */
import { expect, it, onTestFinished } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { runCli, startMailferry } from "../helpers/mailferry.ts";
import { oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

const user = "alice@example.com";

const linesOf = async (client: ImapClient, command: string): Promise<string[]> =>
  (await client.ok(command)).untagged.map(String);
const isFlags = (line: string): boolean => line.startsWith("* FLAGS") || line.includes("PERMANENTFLAGS");
const system = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

it.each(["FETCH 1:* (FLAGS)", "FETCH 1:* (UID FLAGS ENVELOPE)"])(
  "that the old server does not name are named here, before they are shown: %s",
  async (command) => {
    const { mailferry } = await startBehindOdd({
      INBOX: oddMailbox([oddMessage(1, undefined, ["work"]), oddMessage(2, undefined, ["\\Seen", "Later"])]),
    });
    const client = await mailferry.client(user);
    await client.ok("SELECT INBOX");
    const lines = await linesOf(client, command);
    expect(lines.slice(0, 2)).toEqual([
      `* FLAGS (${system} work Later)`,
      `* OK [PERMANENTFLAGS (${system} work Later \\*)] Flags permitted.`,
    ]);
    expect(lines[2]).toContain("FLAGS (work)");
    // Once is enough.
    expect((await linesOf(client, command)).filter(isFlags)).toEqual([]);
    const other = await mailferry.client(user);
    await other.ok("SELECT INBOX");
    await other.ok("STORE 1 +FLAGS (fresh)");
    const told = await linesOf(client, "NOOP");
    expect(told.at(-1)).toContain("fresh");
    expect(told.slice(0, -1).some((line) => line.startsWith("* FLAGS") && line.includes("fresh"))).toBe(true);
  },
);

it("are told as Dovecot tells them, before and after the cutover", async () => {
  const dovecot = await startDovecot({ users: ["bob"] });
  onTestFinished(() => dovecot.close());
  const straight = await dovecot.client("bob");
  await straight.ok("APPEND INBOX (work) ", Buffer.from("Subject: a\r\n\r\ntext\r\n"));
  const mailferry = await startMailferry({ legacy: dovecot });
  onTestFinished(() => mailferry.close());
  const flagsOf = async (client: ImapClient): Promise<string[]> =>
    (await linesOf(client, "SELECT INBOX")).filter(isFlags);
  const client = await mailferry.client("bob");
  expect(await flagsOf(client)).toEqual(await flagsOf(straight));
  await straight.ok("STORE 1 +FLAGS (later)");
  const told = [...(await linesOf(client, "NOOP")), ...(await linesOf(client, "FETCH 1 (FLAGS)"))];
  expect(told.filter(isFlags)).toEqual([
    `* FLAGS (${system} work later)`,
    `* OK [PERMANENTFLAGS (${system} work later \\*)] Flags permitted.`,
  ]);
  const there = await flagsOf(straight);
  await runCli(["migrate", "-c", mailferry.configFile, "bob"]);
  expect((await runCli(["cutover", "-c", mailferry.configFile, "bob"])).stdout).toContain("local");
  expect(await flagsOf(await mailferry.client("bob"))).toEqual(there);
});
