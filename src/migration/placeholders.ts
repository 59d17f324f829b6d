/**
 * Messages that are added to a mailbox of the legacy server for nothing but their UIDs, and removed again: so the
 * next message gets the UID that it has here. They are told by their Message-ID, whatever cuts in.
 */
import { MailError } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import { type EncodedMailboxName, type Uid, uid } from "../mail/ids.ts";
import { contentOf } from "../mail/message-content.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { removeThere } from "./remove-there.ts";

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
const itsMessageId = /^message-id: <placeholder@mailferry\.invalid>\r?$/im;

/** Of many that are there at once some are removed, or a big gap would fill the disk. */
const maxAtOnce = 500;

/** UIDNEXT becomes `wanted`, or more where mail came meanwhile: what it is then. No placeholder is left there. */
export async function raiseUidNext(lease: MailboxLease, name: EncodedMailboxName, wanted: Uid): Promise<Uid> {
  let { uidNext } = await lease.examineAgain();
  let there: Uid[] = [];
  let keepsOne = false;
  while (uidNext < wanted) {
    const before = uidNext;
    if (there.length === 0 || keepsOne) await append(lease, name);
    else await lease.copy(uidSetOf(there.slice(0, wanted - uidNext)), name);
    const told = (await lease.examineAgain()).uidNext;
    there = [...there, ...(await placeholdersFrom(lease, before))];
    uidNext = uid(Math.max(told, (there.at(-1) ?? 0) + 1));
    if (uidNext <= before) {
      // It keeps one of those that are alike: one after the other, then.
      if (there.length === 0 || keepsOne)
        throw new MailError("CANNOT", "the legacy server gives a new message no new UID");
      keepsOne = true;
    }
    if (keepsOne) await removeThere(lease, there.splice(0));
    if (there.length <= maxAtOnce) continue;
    await removeThere(lease, there.slice(maxAtOnce));
    there = there.slice(0, maxAtOnce);
  }
  await removeThere(lease, there);
  return uidNext;
}

/** Runs `work` on one, and removes it. */
export async function withPlaceholder<T>(
  lease: MailboxLease,
  name: EncodedMailboxName,
  work: (on: Uid) => Promise<T>,
): Promise<T> {
  const { uidNext } = await lease.examineAgain();
  await append(lease, name);
  await lease.examineAgain();
  const there = await placeholdersFrom(lease, uidNext);
  const [on] = there;
  if (on === undefined) throw new Error("the legacy server does not show a message that it has taken");
  const result = await work(on);
  await removeThere(lease, there);
  return result;
}

async function append(lease: MailboxLease, name: EncodedMailboxName): Promise<void> {
  const content = contentOf(placeholderText);
  await lease.append(name, { content, flags: ["\\Seen", "\\Deleted"], internalDate: undefined });
}

async function placeholdersFrom(lease: MailboxLease, first: Uid): Promise<readonly Uid[]> {
  const arrived = (await lease.listUids()).filter((one) => one >= first);
  const found: Uid[] = [];
  if (arrived.length === 0) return found;
  await lease.fetchHeaders(uidSetOf(arrived), (one, header) => {
    if (itsMessageId.test(header.toString("latin1"))) found.push(one);
  });
  return found.sort((a, b) => a - b);
}
