/** Sets of messages that no command line of 8,192 bytes (RFC 7162 4) holds: COPY and MOVE of them are whole all the same. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import { type Manners, oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

const user = "alice@example.com";

/** Every second message of many: no range reaches over the others. */
const many = 1_200;
const everySecond = Array.from({ length: many / 2 }, (_, index) => 2 * index + 1).join();
const withoutUidPlus = "IMAP4rev1 NAMESPACE IDLE UNSELECT LITERAL+";
const shortLines: Partial<Manners> = {
  answer({ connection, tag, name, args }) {
    const isLong = `${tag} ${name} ${args}\r\n`.length > 8_192;
    if (isLong) connection.say(`${tag} BAD Command line too long\r\n`);
    return isLong;
  },
};
const startMany = async (manners: Partial<Manners>) => {
  const box = oddMailbox(Array.from({ length: many }, (_, index) => oddMessage(1_000_000_001 + index)));
  const { odd, mailferry } = await startBehindOdd(
    { INBOX: box, Archive: oddMailbox([oddMessage(7)], 2) },
    manners,
    { legacyExtra: { timeout: 5 } },
  );
  return { odd, client: await mailferry.client(user) };
};

it.each(["COPY", "MOVE"])("%s of a set that is too long for a command line is done whole", async (verb) => {
  const { odd, client } = await startMany(shortLines);
  await client.ok("SELECT INBOX");
  const done = await client.ok(`${verb} ${everySecond} Archive`);
  const told = verb === "COPY" ? done.text : done.untagged.join("");
  const [, from = "", to] = /\[COPYUID 2 (\S+) (\S+)\]/.exec(told) ?? [];
  expect(from.split(",")).toHaveLength(many / 2);
  expect(to).toBe(`8:${7 + many / 2}`);
  expect(odd.mailboxes.get("Archive")?.messages).toHaveLength(1 + many / 2);
  expect(odd.mailboxes.get("INBOX")?.messages).toHaveLength(verb === "COPY" ? many : many / 2);
});

it.each([
  ["COPY", "with UIDPLUS", undefined],
  ["COPY", "without UIDPLUS", withoutUidPlus],
  ["MOVE", "without UIDPLUS and MOVE", withoutUidPlus],
])("%s of such a set is undone whole where a later part is refused, %s", async (verb, _, capabilities) => {
  let copies = 0;
  const { odd, client } = await startMany({
    ...(capabilities !== undefined && { capabilities }),
    answer(call, server) {
      if (shortLines.answer?.(call, server)) return true;
      const isRefused = call.name === "UID COPY" && ++copies === 2;
      if (isRefused) call.connection.say(`${call.tag} NO [OVERQUOTA] too much\r\n`);
      return isRefused;
    },
  });
  await client.ok("SELECT INBOX");
  const { status, text } = await client.command(`${verb} ${everySecond} Archive`);
  expect(`${status} ${text}`).toBe("NO [OVERQUOTA] too much");
  expect(odd.mailboxes.get("Archive")?.messages.map(({ uid }) => uid)).toEqual([7]);
  expect(odd.mailboxes.get("INBOX")?.messages).toHaveLength(many);
  expect(odd.mailboxes.get("INBOX")?.messages.some(({ flags }) => flags.has("\\Deleted"))).toBe(false);
  const { untagged } = await client.ok("STATUS Archive (MESSAGES)");
  expect(untagged.join("")).toContain("MESSAGES 1)");
});

it("MOVE of such a set leaves what it has moved where a later part is refused, and says so", async () => {
  let moves = 0;
  const { odd, client } = await startMany({
    answer(call, server) {
      if (shortLines.answer?.(call, server)) return true;
      const isRefused = call.name === "UID MOVE" && ++moves === 2;
      if (isRefused) call.connection.say(`${call.tag} NO [OVERQUOTA] too much\r\n`);
      return isRefused;
    },
  });
  await client.ok("SELECT INBOX");
  const { status, untagged } = await client.command(`MOVE ${everySecond} Archive`);
  expect(status).toBe("NO");
  const moved = untagged.filter((line) => String(line).includes("EXPUNGE")).length;
  expect(moved).toBeGreaterThan(0);
  expect(odd.mailboxes.get("Archive")?.messages).toHaveLength(1 + moved);
  expect(odd.mailboxes.get("INBOX")?.messages).toHaveLength(many - moved);
});
