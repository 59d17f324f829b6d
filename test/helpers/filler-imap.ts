/** The same plans over IMAP, for servers whose disk is not ours; the server then chooses the UIDs. */

import { formatInternalDate } from "../../src/mail/internal-date.ts";
import { encodeMailboxName } from "../../src/mail/mailbox-name.ts";
import { type AccountPlan, type MaildirLayout, wireName } from "./filler.ts";
import { type ImapClient, quoted } from "./imap-client.ts";

export async function fillOverImap(
  client: ImapClient,
  plan: AccountPlan,
  layout: MaildirLayout,
): Promise<void> {
  for (const mailbox of plan.mailboxes) {
    const name = wireName(mailbox.path, layout);
    if (name !== "INBOX") await client.ok(`CREATE ${quoted(name)}`);
    for (const { flags, epochSeconds, zoneMinutes = 0, bytes } of mailbox.messages()) {
      if (bytes.length === 0) continue; // APPEND of an empty literal means cancel (RFC 3502 6.3.11)
      const date = formatInternalDate({ epochSeconds, zoneMinutes });
      await client.ok(`APPEND ${quoted(name)} (${flags.join(" ")}) "${date}" `, bytes);
    }
  }
  for (const path of plan.subscriptions) {
    // Some servers refuse to subscribe to what does not exist.
    await client.command(`SUBSCRIBE ${quoted(wireName(path, layout))}`);
  }
}

/** Gives the messages of a mailbox `count` keywords between them, more than a Maildir's 26 if wanted. */
export async function addKeywords(client: ImapClient, mailbox: string, count: number): Promise<string[]> {
  const keywords = Array.from({ length: count }, (_, index) => `keyword${index}`);
  await client.ok(`SELECT ${quoted(encodeMailboxName(mailbox))}`);
  const { untagged } = await client.ok("UID SEARCH ALL");
  const found = untagged.map(String).find((line) => line.startsWith("* SEARCH ")) ?? "";
  const uids = found.split(" ").slice(2);
  for (const [index, keyword] of keywords.entries()) {
    await client.ok(`UID STORE ${uids[index % uids.length]} +FLAGS.SILENT (${keyword})`);
  }
  // CLOSE would expunge.
  await client.ok("UNSELECT");
  return keywords;
}
