/** Mail that comes to an odd old server after the cutover: none of it is passed over, and only whole messages are taken. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import {
  type Manners,
  type OddImap,
  type OddMessage,
  oddMailbox,
  oddMessage,
  rightItem,
} from "../helpers/odd-imap.ts";

const user = "alice";
const isBody = (item: string): boolean => /^BODY(\.PEEK)?\[\]$/.test(item);

async function startLocal(): Promise<{ odd: OddImap; mailferry: Mailferry }> {
  const { odd, mailferry } = await startBehindOdd({ INBOX: oddMailbox([oddMessage(1), oddMessage(2)]) });
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const cut = await runCli(["cutover", "-c", mailferry.configFile, user]);
  expect(cut.stdout + cut.stderr).toContain("alice: local");
  await client.ok("LOGOUT");
  return { odd, mailferry };
}

/** Three come while nobody is there, and the old server behaves so. */
async function arrive(odd: OddImap, manners: Partial<Manners>): Promise<void> {
  const inbox = odd.mailboxes.get("INBOX");
  if (!inbox) throw new Error("no INBOX");
  for (const uid of [3, 4, 5]) inbox.messages.push(oddMessage(uid));
  inbox.uidNext = 6;
  odd.behave(manners);
}

/** The text of INBOX once a look has brought over so many. */
async function textsOnceThereAre(mailferry: Mailferry, count: number): Promise<string[]> {
  await mailferry.restart();
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  await expect.poll(() => countOf(client), { timeout: 30_000, interval: 200 }).toBe(count);
  const { untagged } = await client.ok("UID FETCH 1:* (BODY.PEEK[TEXT])");
  await client.ok("LOGOUT");
  return untagged.map((line) => /(?:Text|Other)[^\r\n]*/.exec(line.toString())?.[0] ?? "").sort();
}

async function countOf(client: ImapClient): Promise<number> {
  const { untagged } = await client.ok("UID SEARCH ALL");
  return untagged.join("").match(/\d+/g)?.length ?? 0;
}

const texts = (...numbers: number[]): string[] => numbers.map((one) => `Text number ${one}`);

/** Of one message, as long as `isOdd`. */
function oddly(isOdd: () => boolean, tell: (message: OddMessage) => string): Partial<Manners> {
  return {
    item: (message, item) =>
      message.uid === 4 && isBody(item) && isOdd() ? tell(message) : rightItem(message, item),
  };
}

it.each<[string, (message: OddMessage) => string]>([
  ["NIL in its place", () => "BODY[] NIL"],
  ["the first half of it", ({ body }) => `BODY[] {20}\r\n${body.subarray(0, 20).toString()}`],
  ["the end of the connection", () => "BODY[] {100000}\r\nnothing"],
])("%s: the others come, and it comes once it can be had", async (_, tell) => {
  const { odd, mailferry } = await startLocal();
  let isOdd = true;
  await arrive(odd, {
    ...oddly(() => isOdd, tell),
    sent: (text, { end }) => {
      if (text.includes("{100000}")) setImmediate(end);
      return text;
    },
  });
  expect(await textsOnceThereAre(mailferry, 4)).toEqual(texts(1, 2, 3, 5));
  isOdd = false;
  expect(await textsOnceThereAre(mailferry, 5)).toEqual(texts(1, 2, 3, 4, 5));
});

it("sizes that are wrong by nature: what came twice, the same, is taken at the same look", async () => {
  const { odd, mailferry } = await startLocal();
  await arrive(odd, {
    sent: (text) => text.replace(/RFC822\.SIZE (\d+)/g, (_, size) => `RFC822.SIZE ${Number(size) + 9}`),
  });
  expect(await textsOnceThereAre(mailferry, 5)).toEqual(texts(1, 2, 3, 4, 5));
});
