/** A listing is all only where it agrees with EXISTS: what an old server leaves out is found, or named. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import {
  type Manners,
  type OddCall,
  type OddImap,
  type OddMailbox,
  oddMailbox,
  oddMessage,
} from "../helpers/odd-imap.ts";

const user = "alice";

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const inboxOf = (count: number): OddMailbox => oddMailbox(upTo(count).map((uid) => oddMessage(uid)));

async function start(
  inbox: OddMailbox,
  manners: Partial<Manners>,
): Promise<{ readonly old: OddImap; readonly mailferry: Mailferry }> {
  const { odd: old, mailferry } = await startBehindOdd({ INBOX: inbox }, manners);
  return { old, mailferry };
}

const searchAnswers = (answer: (uids: readonly number[]) => string): Partial<Manners> => ({
  answer: ({ name, tag, connection }, { mailboxes }) => {
    if (name !== "UID SEARCH") return false;
    const uids = (mailboxes.get("INBOX")?.messages ?? []).map(({ uid }) => uid);
    connection.say(`${answer(uids)}${tag} OK done\r\n`);
    return true;
  },
});

/** SEARCH and a FETCH of UIDs answer with no more than so many messages. */
const capped = (byUid: number, byNumber: number): Partial<Manners> => ({
  searched: (uids) => uids.slice(0, 3),
  answer: (call, { mailboxes }) => {
    const { name, args, tag, connection } = call;
    if (!/FETCH$/.test(name) || !args.endsWith("(UID)")) return false;
    const messages = mailboxes.get("INBOX")?.messages ?? [];
    const found = messages.map(({ uid }, index) => ({ uid, number: index + 1 })).filter(isWithin(call));
    for (const { uid, number } of found.slice(0, name === "FETCH" ? byNumber : byUid))
      connection.say(`* ${number} FETCH (UID ${uid})\r\n`);
    connection.say(`${tag} OK done\r\n`);
    return true;
  },
});

function isWithin({ name, args }: OddCall): (one: { uid: number; number: number }) => boolean {
  const [from = 1, to = from] = (args.split(" ")[0] ?? "")
    .split(":")
    .map((bound) => (bound === "*" ? Number.POSITIVE_INFINITY : Number(bound)));
  return ({ uid, number }) => {
    const one = name === "FETCH" ? number : uid;
    return one >= from && one <= to;
  };
}

/** SELECT tells another EXISTS, or UIDNEXT. */
const selecting = (
  change: (mailbox: OddMailbox) => { exists?: number; uidNext?: number },
): Partial<Manners> => ({
  selectLines: (mailbox) => {
    const { exists = mailbox.messages.length, uidNext = mailbox.uidNext } = change(mailbox);
    return [
      "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n",
      `* ${exists} EXISTS\r\n`,
      `* OK [UIDVALIDITY ${mailbox.uidValidity}] ok\r\n`,
      `* OK [UIDNEXT ${uidNext}] ok\r\n`,
    ];
  },
});

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

/** As a client sees it that has just logged in. */
async function uidsSeen(mailferry: Mailferry): Promise<number[]> {
  const client = await mailferry.client(user);
  const selected = (await client.ok("SELECT INBOX")).untagged.join("\n");
  const uids = await uidsOf(client);
  expect(selected).toContain(`* ${uids.length} EXISTS`);
  client.close();
  return uids;
}

async function uidsOf(client: ImapClient): Promise<number[]> {
  const { untagged } = await client.ok("UID FETCH 1:* (UID)");
  return untagged.map((line) => Number(/UID (\d+)/.exec(line.toString())?.[1]));
}

const refused: Partial<Manners> = {
  answer: ({ name, tag, connection }) => {
    if (name !== "UID SEARCH") return false;
    connection.say(`${tag} NO not here\r\n`);
    return true;
  },
};

it.each<readonly [string, Partial<Manners>]>([
  ["SEARCH gives no more than so many", { searched: (uids) => uids.slice(0, 3) }],
  ["SEARCH gives the last ones only", { searched: (uids) => uids.slice(-3) }],
  ["SEARCH gives none", { searched: () => [] }],
  ["SEARCH is cut", searchAnswers((uids) => `* SEARCH ${uids.join(" ").slice(0, 20)}\r\n`)],
  [
    "SEARCH is cut within the last number",
    searchAnswers((uids) => `* SEARCH ${uids.join(" ").slice(0, -1)}\r\n`),
  ],
  ["SEARCH is answered OK, and nothing else", searchAnswers(() => "")],
  ["SEARCH is refused", refused],
  ["SEARCH and FETCH give no more than so many", capped(7, 7)],
])("%s: clients see all, and all is brought across", async (_, manners) => {
  const { mailferry } = await start(inboxOf(60), manners);
  expect(await uidsSeen(mailferry)).toEqual(upTo(60));
  expect((await run(mailferry, "cutover")).code).toBe(0);
  expect(await uidsSeen(mailferry)).toEqual(upTo(60));
});

it("more messages are told than can be listed: all that can are shown, it is named, and no cutover goes through", async () => {
  const { old, mailferry } = await start(
    inboxOf(5),
    selecting(({ messages }) => ({ exists: messages.length + 2 })),
  );
  expect(await uidsSeen(mailferry)).toEqual(upTo(5));
  const cutover = await run(mailferry, "cutover");
  expect(cutover.code).not.toBe(0);
  expect(cutover.stderr).toContain("says that there are 7 messages, and lists 5");
  expect((await run(mailferry, "status")).stdout).toContain("says that there are 7 messages, and lists 5");
  expect((await run(mailferry, "verify")).code).not.toBe(0);
  // Nobody can say that it is all: only another look can.
  await run(mailferry, "deletions", "--accept");
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
  old.behave(selecting(() => ({})));
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("two messages have one UID: it is named, and no cutover goes through", async () => {
  const inbox = oddMailbox([1, 2, 3, 3, 4, 5].map((uid) => oddMessage(uid)));
  const { mailferry } = await start(inbox, {});
  expect(await uidsSeen(mailferry)).toEqual(upTo(5));
  const cutover = await run(mailferry, "cutover");
  expect(cutover.code).not.toBe(0);
  expect(cutover.stderr).toContain("two messages the UID 3");
});

it("a listing that is not whole takes nothing away", async () => {
  const { old, mailferry } = await start(inboxOf(60), {});
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  expect((await run(mailferry, "migrate")).code).toBe(0);
  await mailferry.restart();
  old.behave({ ...capped(12, 0), ...selecting(() => ({ exists: 58 })) });
  expect(await uidsSeen(mailferry)).toEqual(upTo(60));
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
});

it("UIDNEXT stands still while mail comes and goes: clients see what there is", async () => {
  const { old, mailferry } = await start(
    inboxOf(5),
    selecting(() => ({ uidNext: 6 })),
  );
  expect(await uidsSeen(mailferry)).toEqual(upTo(5));
  expect((await run(mailferry, "migrate")).code).toBe(0);
  await mailferry.restart();
  const inbox = old.mailboxes.get("INBOX") ?? inboxOf(0);
  inbox.messages = [1, 3, 4, 5, 6].map((uid) => oddMessage(uid));
  expect(await uidsSeen(mailferry)).toEqual([1, 3, 4, 5, 6]);
  await mailferry.restart();
  inbox.messages = [1, 3, 4, 5, 7].map((uid) => oddMessage(uid));
  expect(await uidsSeen(mailferry)).toEqual([1, 3, 4, 5, 7]);
  expect((await run(mailferry, "cutover")).code).toBe(0);
});
