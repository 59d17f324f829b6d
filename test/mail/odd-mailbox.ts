/** A Dovecot that has these mails in INBOX, to ask the same of it as of us. */
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import type { SampleMail } from "../helpers/odd-mail.ts";

export interface OddMailbox {
  readonly dovecot: Dovecot;
  /** Has INBOX open; the UIDs are 1, 2 and so on. */
  readonly client: ImapClient;
}

/** `epochOf` gives the INTERNALDATE of each, by its UID. */
export async function serveMails(
  mails: readonly SampleMail[],
  epochOf: (number: number) => number,
): Promise<OddMailbox> {
  const dovecot = await startDovecot({ users: ["bob"], started: false });
  const planned = mails.map(({ bytes }, index) => ({
    uid: index + 1,
    bytes,
    flags: [],
    epochSeconds: epochOf(index + 1),
  }));
  const inbox = { path: ["INBOX"], uidValidity: 77, messages: () => planned };
  await fillAccount(dovecot, "bob", { mailboxes: [inbox], subscriptions: [], specialUse: {} });
  await dovecot.start();
  const client = await dovecot.client("bob");
  await client.ok("EXAMINE INBOX");
  return { dovecot, client };
}
