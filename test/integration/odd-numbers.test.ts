/** UIDs and UIDVALIDITYs that are no numbers of 32 bits, or nearly none: told as they can be, or named before the cutover. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type Manners, type OddImap, type OddMailbox, oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

const user = "alice@example.com";

async function start(
  mailboxes: Readonly<Record<string, OddMailbox>>,
  manners: Partial<Manners> = {},
): Promise<{ odd: OddImap; mailferry: Mailferry; client: ImapClient }> {
  const { odd, mailferry } = await startBehindOdd(mailboxes, manners, { legacyExtra: { timeout: 5 } });
  return { odd, mailferry, client: await mailferry.client(user) };
}

async function cli({ configFile }: Mailferry, command: string, ...more: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli([command, "-c", configFile, user, ...more]);
  return `${code} ${stderr}${stdout}`;
}

const validityOf = async (client: ImapClient, mailbox: string): Promise<number> => {
  const { untagged } = await client.ok(`SELECT ${mailbox}`);
  return Number(/\[UIDVALIDITY (\d+)\]/.exec(untagged.join(""))?.[1]);
};

const telling = (validity: string | undefined): Partial<Manners> => ({
  selectLines: ({ messages, uidNext }) => [
    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n",
    `* ${messages.length} EXISTS\r\n* OK [UIDNEXT ${uidNext}] ok\r\n`,
    validity === undefined ? "" : `* OK [UIDVALIDITY ${validity}] ok\r\n`,
  ],
  statusItems: ({ messages, uidNext }) =>
    `MESSAGES ${messages.length} UIDNEXT ${uidNext} UNSEEN 0${validity === undefined ? "" : ` UIDVALIDITY ${validity}`}`,
});

it.each([4_294_967_240, 4_294_967_290])(
  "UIDs near 2^32 (%i) are named before a cutover, and stay below it afterwards",
  async (high) => {
    const { mailferry, client } = await start({
      INBOX: oddMailbox([oddMessage(high)]),
      Other: oddMailbox([oddMessage(3_000_000_000)], 2),
    });
    await client.ok("SELECT INBOX");
    const refused = await cli(mailferry, "cutover");
    const named = `INBOX: ${4_294_967_295 - high - 1} message numbers (UIDs) are left below 2^32`;
    expect(refused).toMatch(/^1 /);
    expect(refused).toContain(named);
    expect(await cli(mailferry, "status")).toContain("message numbers (UIDs) are left");
    const problems = await cli(mailferry, "problems");
    expect(problems).toContain("numbers");
    expect(problems).not.toContain("Other");
    expect(await cli(mailferry, "problems", "--accept-kind", "numbers")).toContain(
      "nothing stands in the way",
    );
    expect(await cli(mailferry, "cutover")).toContain("local");
    const answers: string[] = [];
    for (let index = 0; index < 40; index++) {
      const { status, text } = await client.command("APPEND INBOX ", oddMessage(index).body);
      answers.push(`${status} ${text}`);
    }
    const uids = answers.flatMap((line) => /APPENDUID 1000 (\d+)/.exec(line)?.[1] ?? []).map(Number);
    expect(uids.length).toBeGreaterThan(1);
    expect(Math.max(...uids)).toBeLessThan(4_294_967_295);
    expect(answers.at(-1)).toContain("no message numbers left");
  },
);

it.each([
  ["4294967296", 1],
  ["4294967303", 7],
  ["1764547200123", 3_610_608_763],
  ["18446744073709551615", 4_294_967_295],
])(
  "a UIDVALIDITY above 2^32 (%s) is told as its lower half, and kept through a cutover",
  async (told, shown) => {
    const { odd, mailferry, client } = await start(
      { INBOX: oddMailbox([oddMessage(1), oddMessage(2)]), Other: oddMailbox([oddMessage(5)]) },
      {
        ...telling(told),
        answer({ connection, tag, name }) {
          if (name !== "UID COPY") return false;
          odd.mailboxes.get("Other")?.messages.push(oddMessage(6));
          connection.say(`${tag} OK [COPYUID ${told} 1 6] copied\r\n`);
          return true;
        },
      },
    );
    expect(await validityOf(client, "INBOX")).toBe(shown);
    expect((await client.ok("COPY 1 Other")).text).toContain(`[COPYUID ${shown} 1 6]`);
    const status = (await client.ok("STATUS Other (UIDVALIDITY MESSAGES)")).untagged.join("");
    expect(status).toContain(`UIDVALIDITY ${shown} MESSAGES 2`);
    expect(await cli(mailferry, "verify")).toMatch(/^0 /);
    expect(await cli(mailferry, "cutover")).toContain("local");
    expect(await validityOf(client, "Other")).toBe(shown);
  },
);

it.each([["0"], ["none"], [undefined]])(
  "a mailbox of UIDVALIDITY %s is served, and comes across when an operator says that its UIDs last",
  async (told) => {
    const { mailferry, client } = await start(
      { INBOX: oddMailbox([oddMessage(11), oddMessage(12)]) },
      telling(told),
    );
    const served = await validityOf(client, "INBOX");
    expect(served).toBeGreaterThan(0);
    expect(await cli(mailferry, "cutover")).toContain("does not tell a UIDVALIDITY above 0");
    await cli(mailferry, "problems", "--accept-kind", "unkept");
    expect(await cli(mailferry, "migrate")).toMatch(/^0 /);
    const fresh = await mailferry.client(user);
    const kept = await validityOf(fresh, "INBOX");
    expect(kept).not.toBe(served);
    expect(await cli(mailferry, "verify")).toMatch(/^0 /);
    expect(await cli(mailferry, "cutover")).toContain("local");
    const after = await mailferry.client(user);
    expect(await validityOf(after, "INBOX")).toBe(kept);
    const { untagged } = await after.ok("UID FETCH 1:* (UID)");
    expect(untagged.map(String)).toEqual(["* 1 FETCH (UID 11)", "* 2 FETCH (UID 12)"]);
  },
);
