/** The first SELECT of a mailbox that is large: answered before the old server has listed it. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type OddCall, type OddImap, oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

const user = "alice@example.com";
const count = 10_000;

interface Held {
  readonly client: ImapClient;
  readonly odd: OddImap;
  /** The old server lists the mailbox from now on. */
  readonly list: () => void;
}

/** The old server does not list the mailbox until it is told to. */
async function behindSlowListing(): Promise<Held> {
  const body = Buffer.from("Subject: x\r\n\r\nx\r\n");
  const messages = Array.from({ length: count }, (_, index) => oddMessage(2 * index + 1, body));
  const held: OddCall[] = [];
  let isListing = false;
  const { odd, mailferry } = await startBehindOdd(
    { INBOX: oddMailbox(messages) },
    {
      answer(call, server) {
        if (call.name !== "UID SEARCH" || isListing) return false;
        held.push(call);
        server.log.push("held");
        return true;
      },
    },
  );
  const list = (): void => {
    isListing = true;
    for (const call of held) {
      const uids = odd.mailboxes.get("INBOX")?.messages.map(({ uid }) => uid) ?? [];
      call.connection.say(`* SEARCH ${uids.join(" ")}\r\n${call.tag} OK searched\r\n`);
    }
  };
  return { client: await mailferry.client(user), odd, list };
}

const lines = (untagged: readonly Buffer[]): string[] => untagged.map(String);

it("tells what the old server tells first, and the messages when they are listed", async () => {
  const { client, list } = await behindSlowListing();
  const { untagged, text } = await client.ok("SELECT INBOX");
  expect(text).toBe("[READ-WRITE] Select completed.");
  expect(lines(untagged)).toEqual([
    expect.stringMatching(/^\* FLAGS \(\\Answered/),
    expect.stringMatching(/^\* OK \[PERMANENTFLAGS \(.*\\\*\)\]/),
    `* ${count} EXISTS`,
    "* 0 RECENT",
    "* OK [UIDVALIDITY 1000] UIDs valid",
    `* OK [UIDNEXT ${2 * count}] Predicted next UID`,
  ]);
  const fetched = client.ok("FETCH 1:* (UID FLAGS)");
  list();
  const answers = lines((await fetched).untagged);
  expect([answers.length, answers[0], answers.at(-1)]).toEqual([
    count,
    "* 1 FETCH (UID 1 FLAGS ())",
    `* ${count} FETCH (UID ${2 * count - 1} FLAGS ())`,
  ]);
});

it("tells of what has arrived between the two", async () => {
  const { client, odd, list } = await behindSlowListing();
  await client.ok("SELECT INBOX");
  odd.mailboxes.get("INBOX")?.messages.push(oddMessage(2 * count));
  list();
  const { untagged } = await client.ok("UID FETCH * (FLAGS)");
  expect(lines(untagged)).toEqual([
    `* ${count} FETCH (UID ${2 * count - 1} FLAGS ())`,
    `* ${count + 1} EXISTS`,
    "* 0 RECENT",
  ]);
});

it("lets the client begin anew where one has gone between the two, or they cannot be listed", async () => {
  const { client, odd, list } = await behindSlowListing();
  await client.ok("SELECT INBOX");
  odd.mailboxes.get("INBOX")?.messages.pop();
  list();
  client.send("a1 FETCH 1 (UID)\r\n");
  expect(String(await client.next())).toMatch(/^\* BYE /);
});

it("a client that leaves meanwhile leaves nothing behind", async () => {
  const { client, odd, list } = await behindSlowListing();
  await client.ok("SELECT INBOX");
  client.close();
  list();
  await expect.poll(() => odd.log.at(-1)).not.toBe("held");
});
