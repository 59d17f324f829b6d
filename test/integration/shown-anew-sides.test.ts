/** A mailbox that is shown under a UIDVALIDITY of ours goes to Mailferry and back: it stays the same for clients. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type OddImap, oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

const user = "alice";

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

/** UIDVALIDITY, and subjects by UID. */
async function viewOf(client: ImapClient, mailbox: string): Promise<Record<string, string | undefined>> {
  const { untagged: selected } = await client.ok(`SELECT ${mailbox}`);
  const view: Record<string, string | undefined> = {
    validity: /UIDVALIDITY (\d+)/.exec(selected.join("\n"))?.[1],
  };
  const { untagged } = await client.ok("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
  for (const line of untagged)
    view[/UID (\d+)/.exec(line.toString())?.[1] ?? ""] = /Subject: (.*)/.exec(line.toString())?.[1]?.trim();
  return view;
}

/** `Work` has got other messages under three of its UIDs; all is here, and accepted. */
async function startShownAnew() {
  const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const work = oddMailbox(
    numbers.map((uid) => oddMessage(uid)),
    2_000,
  );
  const { odd, mailferry } = await startBehindOdd({ INBOX: oddMailbox([oddMessage(1)]), Work: work });
  await mailferry.client(user);
  expect((await run(mailferry, "migrate")).stdout).toContain("complete");
  await mailferry.restart();
  const others = [8, 9, 10].map((uid) => ({
    ...oddMessage(uid, `Subject: Other ${uid}\r\n\r\nOther mail number ${uid}\r\n`),
    date: "13-Mar-2019 09:00:00 +0100",
  }));
  work.messages = [...work.messages.slice(0, 7), ...others];
  const client = await mailferry.client(user);
  const before = await viewOf(client, "Work");
  expect(before["validity"]).not.toBe("2000");
  await run(mailferry, "deletions", "--accept");
  const cut = await run(mailferry, "cutover");
  expect(cut.stdout + cut.stderr).toContain("alice: local");
  await client.ok("LOGOUT");
  return { odd, mailferry, before };
}

function arrive(odd: OddImap, subject: string): void {
  const work = odd.mailboxes.get("Work");
  if (!work) throw new Error("no Work");
  work.messages.push(oddMessage(work.uidNext++, `Subject: ${subject}\r\n\r\nLate\r\n`));
}

it("mail that comes to the old server after the cutover is brought over, also once it has another name here", async () => {
  const { odd, mailferry } = await startShownAnew();
  const renaming = await mailferry.client(user);
  await renaming.ok("RENAME Work Play");
  await renaming.ok("LOGOUT");
  arrive(odd, "Straggler");
  await mailferry.restart();
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  await expect
    .poll(async () => Object.values(await viewOf(client, "Play")), { timeout: 30_000, interval: 300 })
    .toContain("Straggler");
});

it("a rollback gives back what has changed, under the same UIDs", async () => {
  const { odd, mailferry, before } = await startShownAnew();
  const client = await mailferry.client(user);
  await client.ok("APPEND Work (\\Seen) ", Buffer.from("Subject: New\r\n\r\nNew here\r\n"));
  const here = await viewOf(client, "Work");
  expect(here).toMatchObject(before);
  const back = await run(mailferry, "rollback");
  expect(back.stdout + back.stderr).toContain("alice: the legacy server's again");
  expect(back.stdout).not.toContain("UIDVALIDITY");
  const again = await mailferry.client(user);
  expect(await viewOf(again, "Work")).toEqual(here);
  const there = odd.mailboxes.get("Work")?.messages ?? [];
  expect(there.map(({ uid }) => String(uid))).toEqual(Object.keys(here).filter((key) => key !== "validity"));
  expect((await run(mailferry, "verify")).code).toBe(0);
});
