/** A client renames a mailbox: what is here of it goes along, whatever has befallen it before. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type OddMailbox, oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

const user = "alice";

const upTo = (count: number, uidValidity?: number): OddMailbox =>
  oddMailbox(
    Array.from({ length: count }, (_, index) => oddMessage(index + 1)),
    uidValidity,
  );

async function start(count: number) {
  const { odd, mailferry } = await startBehindOdd({ INBOX: upTo(3), Work: upTo(count, 2_000) });
  const client = await mailferry.client(user);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(migrated.stdout).toContain("complete");
  const work = odd.mailboxes.get("Work");
  if (!work) throw new Error("no Work");
  return { odd, mailferry, client, work };
}

async function validityOf(client: ImapClient, mailbox: string): Promise<string | undefined> {
  const { untagged } = await client.ok(`SELECT ${mailbox}`);
  return /UIDVALIDITY (\d+)/.exec(untagged.join("\n"))?.[1];
}

it("shown anew under a UIDVALIDITY of its own: it keeps that one, there and back", async () => {
  const { odd, mailferry, client, work } = await start(10);
  expect(await validityOf(client, "Work")).toBe("2000");
  await mailferry.restart();
  const others = [8, 9, 10].map((uid) => ({
    ...oddMessage(uid, `Subject: Other\r\n\r\nOther mail number ${uid}\r\n`),
    date: "13-Mar-2019 09:00:00 +0100",
  }));
  work.messages = [...work.messages.slice(0, 7), ...others];
  const again = await mailferry.client(user);
  const shown = await validityOf(again, "Work");
  expect(shown).not.toBe("2000");
  await again.ok("UNSELECT");
  await again.ok("RENAME Work Play");
  expect(await validityOf(again, "Play")).toBe(shown);
  await again.ok("UNSELECT");
  await again.ok("RENAME Play Work");
  expect(await validityOf(again, "Work")).toBe(shown);
  expect(odd.mailboxes.get("Work")).toBe(work);
});

it("STATUS tells no UIDVALIDITY of the new name for a moment: nothing is fetched again", async () => {
  const { odd, client } = await start(10);
  let isFirst = true;
  odd.behave({
    answer({ name, args, tag, connection }) {
      if (name !== "STATUS" || !args.includes("Play") || !isFirst) return false;
      isFirst = false;
      connection.say(`* STATUS "Play" (MESSAGES 10 UIDNEXT 11 UIDVALIDITY 0 UNSEEN 0)\r\n${tag} OK done\r\n`);
      return true;
    },
  });
  const asked = odd.log.length;
  await client.ok("RENAME Work Play");
  expect(await validityOf(client, "Play")).toBe("2000");
  const { untagged } = await client.ok("UID FETCH 1:* (UID BODY.PEEK[])");
  expect(untagged).toHaveLength(10);
  expect(isFirst).toBe(false);
  expect(odd.log.slice(asked).filter((command) => command.includes("BODY"))).toEqual([]);
});

it("under a new UIDVALIDITY while deletions are held in it: what is held is kept", async () => {
  const { odd, mailferry, client, work } = await start(60);
  odd.behave({
    answer({ name }) {
      if (name === "RENAME") work.uidValidity = 3_000;
      return false;
    },
  });
  work.messages = work.messages.slice(50);
  await client.ok("SELECT Work");
  expect((await client.ok("UID SEARCH ALL")).untagged.join().split(" ")).toHaveLength(62);
  await client.ok("UNSELECT");
  await client.ok("RENAME Work Play");
  expect(await validityOf(client, "Play")).toBe("3000");
  expect(keptIn(mailferry)).toBe(60);
});

/** Messages of mailboxes that were set aside. */
function keptIn({ dataDir }: Mailferry): number {
  const gone = join(dataDir, "mail", "_", user, "gone");
  if (!existsSync(gone)) return 0;
  return readdirSync(gone).reduce((sum, name) => sum + readdirSync(join(gone, name, "cur")).length, 0);
}
