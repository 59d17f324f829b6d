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
import { noting, unreadableOf } from "./unreadable.ts";

/** The highest, and as many anywhere. */
const sampleSize = 5;

/** The UIDs of messages that the old server has no more; undefined where nothing contradicts what is known. */
export async function findOthers(
  mailbox: MailboxState,
  lease: MailboxLease,
  examined: Examined,
  listing: ComparedListing,
): Promise<readonly Uid[] | undefined> {
  const { table, record, brake } = mailbox;
  if (mailbox.isTransient || table.remoteCount === table.uids.length) return undefined;
  const fall = fallOf(mailbox, examined);
  const gone = new Set([...listing.vanished, ...brake.held]);
  const known = table.uids.filter((one) => !gone.has(one) && table.get(one)?.presence !== "remote");
  const lost = (others: readonly MessageMeta[]): readonly Uid[] =>
    [...others.map(({ uid }) => uid), ...gone].sort((a, b) => a - b);
  const isClear = (others: readonly MessageMeta[]): boolean =>
    others.some((meta) => isOtherInBoth(table.get(meta.uid), meta));
  const isAgain = fall.uidNext !== undefined && isGivenAgain(listing.arrived, fall.uidNext, record.uidNext);
  // Its UIDs and its MODSEQs begin to be given a second time.
  if (isAgain || (fall.isNew && fall.modSeqs)) return lost(await differing(mailbox, lease, known));
  const hasFallen = fall.isNew || fall.modSeqs;
  const isAnew = mailbox.followed !== lease.examined;
  if (!hasFallen && !isAnew) return undefined;
  const others = await differing(mailbox, lease, hasFallen ? known : sampleWithHighest(known));
  if (!isClear(others)) return undefined;
  return lost(hasFallen ? others : await differing(mailbox, lease, known));
}

interface Fall {
  /** The lowest UIDNEXT that was told since it fell. */
  readonly uidNext: number | undefined;
  /** It was not known to have fallen so low. */
  readonly isNew: boolean;
  readonly modSeqs: boolean;
}

function fallOf(mailbox: MailboxState, { uidNext, highestModSeq, isUidNextDerived }: Examined): Fall {
  const { store, record } = mailbox;
  const key = `uidnext-fell:${record.id}:${record.uidValidity}`;
  const before = Number(store.readSetting(key) ?? "") || undefined;
  const isNew =
    isUidNextDerived !== true && uidNext < record.uidNext && (before === undefined || uidNext < before);
  if (isNew) store.writeSetting(key, String(uidNext));
  const modSeqs =
    !mailbox.countsModSeqs && highestModSeq !== undefined && highestModSeq < record.highestModSeq;
  return { uidNext: isNew ? uidNext : before, isNew, modSeqs };
}

/** UIDs that the old server was about to give again when its UIDNEXT had fallen. */
function isGivenAgain(arrived: readonly Uid[], from: number, to: number): boolean {
  return arrived.some((one) => one >= from && one < to);
}

function sampleWithHighest(uids: readonly Uid[]): readonly Uid[] {
  const others = uids.slice(0, -sampleSize);
  const step = Math.max(1, Math.ceil(others.length / sampleSize));
  const offset = Math.floor(Math.random() * step);
  return [...others.filter((_, index) => index % step === offset), ...uids.slice(-sampleSize)];
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

function isOther({ table }: MailboxState, meta: MessageMeta): boolean {
  const known = table.get(meta.uid);
  return known !== undefined && known.presence !== "remote" && !isSameMessage(known, meta);
}

function isOtherInBoth(known: StoredMessage | undefined, { sizeBytes, internalDate }: MessageMeta): boolean {
  if (known === undefined || known.presence === "remote") return false;
  return known.sizeBytes !== sizeBytes && known.internalDate.epochSeconds !== internalDate.epochSeconds;
}

type Compared = Pick<MessageMeta, "sizeBytes" | "internalDate">;

export function isSameMessage(a: Compared | undefined, b: Compared): boolean {
  return a?.sizeBytes === b.sizeBytes && a.internalDate.epochSeconds === b.internalDate.epochSeconds;
}
