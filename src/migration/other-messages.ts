/**
 * Finds out whether the old server gives other messages under the same UIDVALIDITY and UIDs: it was restored from a
 * backup, or another mailbox was put in this one's place. INTERNALDATE and size of a sample are compared whenever the
 * mailbox was selected anew, and of all after a number fell; while it stays selected the session's own view stands. One
 * wrong answer makes no other mailbox: a difference counts when a second look shows the same, and one message has to differ
 * in both. Servers mend sizes that were wrong in a file's name, and tell the present second of what has no date.
 */
import type { Examined, MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { StoredMessage } from "../store/store.ts";
import type { ComparedListing } from "./deletion-brake.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { sampleWithHighest } from "./sample.ts";
import { noting, unreadableOf } from "./unreadable.ts";

/** The UIDs of messages that the old server has no more; undefined where nothing contradicts what is known. */
export async function findOthers(
  mailbox: MailboxState,
  lease: MailboxLease,
  examined: Examined,
  listing: ComparedListing,
): Promise<readonly Uid[] | undefined> {
  const { table, brake } = mailbox;
  if (mailbox.isTransient || lease.altersMail || mailbox.followed === lease.examined) return undefined;
  const gone = new Set([...listing.vanished, ...brake.held]);
  const known = table.uids.filter((one) => !gone.has(one) && table.get(one)?.presence !== "remote");
  const hasFallen = isBelow(mailbox, examined);
  const others = await differing(mailbox, lease, hasFallen ? known : sampleWithHighest(known));
  if (!others.some((meta) => isOtherInBoth(table.get(meta.uid), meta))) return undefined;
  const all = hasFallen ? others : await differing(mailbox, lease, known);
  return [...all.map(({ uid }) => uid), ...gone].sort((a, b) => a - b);
}

/** Numbers that only rise have fallen: sessions that began before a change may tell so, and a restored server. */
function isBelow({ record, countsModSeqs }: MailboxState, examined: Examined): boolean {
  const { uidNext, highestModSeq, isUidNextDerived } = examined;
  if (isUidNextDerived !== true && uidNext < record.uidNext) return true;
  return !countsModSeqs && highestModSeq !== undefined && highestModSeq < record.highestModSeq;
}

async function differing(
  mailbox: MailboxState,
  lease: MailboxLease,
  uids: readonly Uid[],
): Promise<readonly MessageMeta[]> {
  const bad = new Set(unreadableOf(mailbox).suspects("metadata"));
  const first = await metasOf(
    mailbox,
    lease,
    uids.filter((one) => !bad.has(one)),
  );
  const doubted = first.filter((meta) => isOther(mailbox, meta));
  if (doubted.length === 0) return [];
  const told = new Map(doubted.map((meta) => [meta.uid, meta]));
  const second = await metasOf(mailbox, lease, [...told.keys()]);
  return second.filter((meta) => isSameMessage(told.get(meta.uid), meta));
}

async function metasOf(
  mailbox: MailboxState,
  lease: MailboxLease,
  uids: readonly Uid[],
): Promise<readonly MessageMeta[]> {
  const metas: MessageMeta[] = [];
  if (uids.length > 0)
    await noting(
      mailbox,
      lease.fetchMeta(uidSetOf(uids), (meta) => metas.push(meta)),
      "metadata",
    );
  return metas;
}

/** Date or size are not as they are known here. */
export function isOther({ table }: Pick<MailboxState, "table">, meta: MessageMeta): boolean {
  const known = table.get(meta.uid);
  return known !== undefined && known.presence !== "remote" && !isSameMessage(known, meta);
}

function isOtherInBoth(known: StoredMessage | undefined, { sizeBytes, internalDate }: MessageMeta): boolean {
  if (known === undefined || known.presence === "remote") return false;
  return known.sizeBytes !== sizeBytes && known.internalDate.epochSeconds !== internalDate.epochSeconds;
}

type Compared = Pick<MessageMeta, "sizeBytes" | "internalDate">;

function isSameMessage(a: Compared | undefined, b: Compared): boolean {
  return a?.sizeBytes === b.sizeBytes && a.internalDate.epochSeconds === b.internalDate.epochSeconds;
}
