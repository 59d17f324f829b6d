/**
 * Messages that are added to a mailbox of the legacy server for nothing but their UIDs, and removed again: so the
 * next message gets the UID that it has here. They are told by their bytes, whatever cuts in.
 */
import type { MailboxLease } from "../legacy/source.ts";
import { type EncodedMailboxName, type Uid, uid } from "../mail/ids.ts";
import { contentOf } from "../mail/message-content.ts";
import { uidSetOf } from "../mail/number-set.ts";

export const placeholderText = Buffer.from(
  [
    "From: Mailferry <mailferry@localhost>",
    "Subject: Placeholder",
    "Date: Thu, 01 Jan 1970 00:00:00 +0000",
    "Message-ID: <placeholder@mailferry.invalid>",
    "",
    "Mailferry has added this message to keep message numbers as they are. It may be deleted.",
    "",
  ].join("\r\n"),
  "latin1",
);

/** Of many that are there at once some are removed, or a big gap would fill the disk. */
const maxAtOnce = 500;

export interface RaisedUidNext {
  readonly uidNext: Uid;
  /** Placeholders that are left. */
  readonly left: readonly Uid[];
}

/** UIDNEXT becomes `wanted`, or more where mail came meanwhile. */
export async function raiseUidNext(
  lease: MailboxLease,
  name: EncodedMailboxName,
  wanted: Uid,
  remove: (uids: readonly Uid[]) => Promise<void>,
): Promise<RaisedUidNext> {
  let { uidNext } = await lease.examineAgain();
  let there: readonly Uid[] = [];
  while (uidNext < wanted) {
    const before = uidNext;
    if (there.length === 0) await addPlaceholder(lease, name);
    else await lease.copy(uidSetOf(there.slice(0, wanted - uidNext)), name);
    ({ uidNext } = await lease.examineAgain());
    there = [...there, ...(await placeholdersFrom(lease, before))];
    // A server that takes it in without a UID of its own would go on for ever.
    if (uidNext <= before) uidNext = uid(Math.max(uidNext, (there.at(-1) ?? 0) + 1));
    if (uidNext <= before) throw new Error("the legacy server gives a new message no new UID");
    if (there.length <= maxAtOnce) continue;
    await remove(there.slice(maxAtOnce));
    there = there.slice(0, maxAtOnce);
  }
  return { uidNext, left: there };
}

export async function addPlaceholder(lease: MailboxLease, name: EncodedMailboxName): Promise<void> {
  const content = contentOf(placeholderText);
  await lease.append(name, { content, flags: ["\\Seen", "\\Deleted"], internalDate: undefined });
}

async function placeholdersFrom(lease: MailboxLease, first: Uid): Promise<readonly Uid[]> {
  const arrived = (await lease.listUids()).filter((one) => one >= first);
  const found: Uid[] = [];
  if (arrived.length === 0) return found;
  await lease.fetchHeaders(uidSetOf(arrived), (one, header) => {
    if (header.includes("<placeholder@mailferry.invalid>")) found.push(one);
  });
  return found.sort((a, b) => a - b);
}
