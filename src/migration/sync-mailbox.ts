/**
 * The delta: makes what is known of one mailbox equal to what the legacy server has now, by one look (see
 * `MailboxLease.look`, EXAMINE at first) and as little else as its answer asks for. A deletion is believed only after
 * two listings agree, or where the server has told of it and the listing bears it out.
 */
import { MailError } from "../errors.ts";
import type { Examined, FlagsOf, MailboxLease, MailboxTold } from "../legacy/source.ts";
import { type ModSeq, type Uid, type UidValidity, uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import {
  type NumberRange,
  resolveSequenceSet,
  type UidSet,
  uidRunsOf,
  uidSetOf,
} from "../mail/number-set.ts";
import { includes } from "../mail/range-sets.ts";
import { isAccountLoss } from "./account-loss.ts";
import { compareUids, type UidDifference } from "./compare.ts";
import type { ComparedListing } from "./deletion-brake.ts";
import { isGivenAgain } from "./left-names.ts";
import { showOther } from "./lost-messages.ts";
import { doubtsOf, isKnownGap, noteGap } from "./mailbox-doubts.ts";
import type { CommittedListing, MailboxState } from "./mailbox-state.ts";
import { findOthers, isOther } from "./other-messages.ts";
import { isLossOfMost, noteLoss } from "./slow-losses.ts";
import { noting, unreadableOf } from "./unreadable.ts";

/** What is known beside `examined`, of a mailbox that has stayed selected. */
export interface ToldBefore {
  /** Messages were expunged: so many, and these. */
  readonly expunged: number;
  readonly vanished: readonly NumberRange[];
  /** All flags that have changed; undefined where that is not known. */
  readonly flags: readonly FlagsOf[] | undefined;
}

/** What is told of a mailbox that is looked at first, ahead of its UIDs. */
export interface FirstLook extends Examined {
  readonly uidValidity: UidValidity;
}

/**
 * Takes in what `examined` tells and what it asks for; from then on the mailbox follows this selection. Only inside
 * `exclusive`.
 */
export async function takeDelta(
  mailbox: MailboxState,
  lease: MailboxLease,
  firstExamined: Examined,
  told?: ToldBefore,
  onFirstLook?: (first: FirstLook) => void,
): Promise<void> {
  // Whoever waited for his turn while the mailbox got another master.
  if (mailbox.isLocal) throw new MailError("UNAVAILABLE", "The mailbox has another home now");
  const first = underKnown(mailbox, await askedTwice(mailbox, lease, firstExamined));
  if (await isOfAnother(mailbox, lease, first)) return takeDelta(mailbox, lease, await lease.examineAgain());
  const uidValidity = await validityOf(mailbox, first);
  if (first.hasNoModSeqs) mailbox.countModSeqs(uidValidity);
  if (!mailbox.listed && !mailbox.isTransient)
    onFirstLook?.({
      ...first,
      uidValidity,
      permanentFlags: lease.told.permanentFlags ?? first.permanentFlags,
    });
  const { examined, ...listing } = await listUids(mailbox, lease, first, told);
  const others = await findOthers(mailbox, lease, examined, listing);
  if (others) {
    await mailbox.showAnew(others);
    return takeDelta(mailbox, lease, await lease.examineAgain());
  }
  const changes = mailbox.isTransient
    ? await lookAtAll(mailbox, lease, listing.uids)
    : await changedSince(mailbox, lease, examined, listing.vanished, told?.flags);
  if (changes === "other messages") {
    await mailbox.serveUnkept();
    return takeDelta(mailbox, lease, await lease.examineAgain());
  }
  const last = listing.uids.at(-1) ?? 0;
  mailbox.commitListing({
    ...listing,
    ...changes,
    firstUnseenHint: examined.firstUnseen,
    record: {
      uidValidity,
      uidNext: uid(Math.max(examined.uidNext, last + 1, mailbox.record.uidNext)),
      highestModSeq: examined.highestModSeq ?? noModSeq,
      flags: examined.flags,
    },
  });
  // Those that have arrived: only what is known of a message can be held against it later.
  if (mailbox.isTransient) mailbox.commitMeta(mailbox.record, changes.metas);
  mailbox.follow(lease.examined);
}

/** One answer without a UIDVALIDITY makes no mailbox that has none: what it is shown under would change at the next. */
async function askedTwice(
  { record }: MailboxState,
  lease: MailboxLease,
  examined: Examined,
): Promise<Examined> {
  const isKnown = (examined.uidValidity ?? record.uidValidity) !== undefined;
  return isKnown ? examined : lease.examineAgain();
}

/** A mailbox that is new here, under the name and UIDVALIDITY of one that was: it is shown under one made here. */
async function isOfAnother(
  { store, record, isTransient }: MailboxState,
  lease: MailboxLease,
  { uidValidity, exists }: Examined,
): Promise<boolean> {
  if (isTransient || record.uidValidity !== undefined || uidValidity === undefined) return false;
  if (!(await isGivenAgain(store, record, lease, { told: uidValidity, exists }))) return false;
  showOther(store, { ...record, uidValidity });
  return true;
}

/** Under which UIDVALIDITY the mailbox goes on. */
async function validityOf(
  mailbox: MailboxState,
  { uidValidity: told }: Pick<Examined, "uidValidity">,
): Promise<UidValidity> {
  const known = mailbox.record.uidValidity;
  if (told !== undefined) {
    if (known !== undefined && known !== told) await mailbox.restart(told);
    return told;
  }
  if (mailbox.isTransient && known !== undefined) return known;
  // One bad answer takes nothing away.
  if (known !== undefined)
    throw new MailError("UNAVAILABLE", "The old server does not tell a UIDVALIDITY above 0");
  return mailbox.serveUnkept();
}

/** The UIDVALIDITY of an empty mailbox names nothing, and some servers make a new one whenever it is empty. */
function underKnown({ record: { uidValidity } }: MailboxState, examined: Examined): Examined {
  return uidValidity === undefined || examined.exists > 0 ? examined : { ...examined, uidValidity };
}

interface Listed extends ComparedListing {
  /** Before they were listed: what has vanished had done so by its HIGHESTMODSEQ. */
  readonly examined: Examined;
}

async function listUids(
  mailbox: MailboxState,
  lease: MailboxLease,
  examined: Examined,
  told: ToldBefore | undefined,
): Promise<Listed> {
  const { table, brake } = mailbox;
  const here = brake.withoutHeld(table.uids);
  const gone: Gone = told ?? nothingGone;
  if (mailbox.isTransient) {
    const uids = await listAll(mailbox, lease, examined);
    return { examined, uids, ...compareUids(here, uids) };
  }
  const hasGone = gone.expunged > 0 || gone.vanished.length > 0;
  if (mailbox.listed && !hasGone && (await isSame(mailbox, lease, examined, told)))
    return { examined, uids: table.uids, arrived: [], vanished: [] };
  const first = await listAll(mailbox, lease, examined);
  const difference = compareUids(here, first);
  if (doubtsOf(mailbox).gap) return { examined, ...brake.judge(table, withoutLoss(here, difference)) };
  const { vanished } = difference;
  if (vanished.length === 0 || isBorneOut(vanished, first.length, gone, lease.told)) {
    return { examined, ...(await judge(mailbox, lease, { uids: first, ...difference })) };
  }
  const again = underKnown(mailbox, await lease.examineAgain());
  const second = await listAll(mailbox, lease, again);
  if (again.uidValidity !== examined.uidValidity) throw notWhole();
  const now = compareUids(here, second);
  if (doubtsOf(mailbox).gap) return { examined: again, ...brake.judge(table, withoutLoss(here, now)) };
  if (second.length < again.exists) throw notWhole();
  return { examined: again, ...(await judge(mailbox, lease, { uids: second, ...now })) };
}

async function judge(
  mailbox: MailboxState,
  lease: MailboxLease,
  listed: ComparedListing,
): Promise<ComparedListing> {
  const { table, brake, store } = mailbox;
  const isSlow = isLossOfMost(store, brake.unasked(table, listed.vanished));
  const isSudden = !isSlow && (await isAccountLoss(mailbox, lease, listed.vanished));
  const lost = brake.unasked(table, listed.vanished);
  const accident = isSlow ? "slow" : isSudden ? "sudden" : "none";
  const judged = brake.judge(table, listed, accident);
  // Of what is held nothing is lost.
  noteLoss(store, Math.min(lost, judged.vanished.length));
  return judged;
}

function notWhole(): MailError {
  return new MailError("UNAVAILABLE", "The old server's UID list is not whole");
}

async function listAll(
  mailbox: MailboxState,
  lease: MailboxLease,
  { exists }: Examined,
): Promise<readonly Uid[]> {
  const uids = exists === 0 ? [] : await lease.listUids();
  noteGap(mailbox, exists === 0 ? undefined : lease.listingGap, lease.told.exists);
  return uids;
}

/** Of what a listing leaves out that is not whole, nothing is taken for gone. */
function withoutLoss(here: readonly Uid[], { arrived }: UidDifference): ComparedListing {
  const uids = arrived.length === 0 ? here : [...here, ...arrived].sort((a, b) => a - b);
  return { uids, arrived, vanished: [] };
}

/**
 * The same UIDNEXT: nothing has arrived. The same count on top of that: nothing has left either. There are servers
 * whose UIDNEXT stands still; the last message tells, where neither MODSEQs nor what was told prove it.
 */
async function isSame(
  mailbox: MailboxState,
  lease: MailboxLease,
  examined: Examined,
  told: ToldBefore | undefined,
): Promise<boolean> {
  const { table, brake, record } = mailbox;
  if (examined.uidNext !== record.uidNext) return false;
  if (doubtsOf(mailbox).gap) return isKnownGap(mailbox, examined.exists);
  const here = brake.withoutHeld(table.uids);
  if (examined.exists !== here.length) return false;
  const { highestModSeq, hasNoModSeqs } = examined;
  const isProven = told !== undefined || highestModSeq === record.highestModSeq || here.length === 0;
  if (isProven || (!hasNoModSeqs && highestModSeq === undefined)) return true;
  return (await lease.lastUid()) === here.at(-1);
}

type Gone = Pick<ToldBefore, "expunged" | "vanished">;
const nothingGone: Gone = { expunged: 0, vanished: [] };

/** The server has told of their expunges, one by one or by name, and lists as many as it tells that there are. */
function isBorneOut(missing: readonly Uid[], listed: number, before: Gone, since: MailboxTold): boolean {
  const isCounted = before.expunged + since.expunged >= missing.length && listed === since.exists;
  if (isCounted) return true;
  const named = resolveSequenceSet([...before.vanished, ...since.vanished], 0);
  return missing.every((one) => includes(named, one));
}

type Changes = Pick<CommittedListing, "flagChanges" | "metas">;

async function changedSince(
  mailbox: MailboxState,
  lease: MailboxLease,
  examined: Examined,
  vanished: readonly Uid[],
  told: readonly FlagsOf[] | undefined,
): Promise<Changes> {
  const { table, record } = mailbox;
  const from = table.uids[0];
  const to = table.uids.at(-1);
  const none: Changes = { flagChanges: [], metas: [] };
  if (from === undefined || to === undefined || table.uids.length === vanished.length) return none;
  const since = mailbox.countsModSeqs ? "all" : deltaBase(record.highestModSeq, examined.highestModSeq);
  if (since === "unchanged") return none;
  if (since === "all" && told) return { flagChanges: told, metas: [] };
  if (since !== "all" && table.remoteCount > 0 && !unreadableOf(mailbox).asksFlagsOnly) {
    // Clients may know the flags of what is only listed here: from the legacy server itself.
    const metas: MessageMeta[] = [];
    await noting(
      mailbox,
      lease.fetchMeta([{ from, to }], (meta) => metas.push(meta), since),
      "metadata",
    );
    return { flagChanges: metas, metas };
  }
  // What is only listed gets its flags with its metadata, unless clients were told some.
  if (table.remoteCount === table.uids.length && mailbox.early.isEmpty) return none;
  const flagChanges: FlagsOf[] = [];
  const uids = since === "all" ? uidSetOf(table.uids) : [{ from, to }];
  const fetched = lease.fetchFlags(
    readable(mailbox, uids),
    (change) => flagChanges.push(change),
    since === "all" ? undefined : since,
  );
  await noting(mailbox, fetched, "flags");
  return { flagChanges, metas: [] };
}

/** Without those of which the legacy server cannot give the flags. */
function readable(mailbox: MailboxState, uids: UidSet): UidSet {
  const bad = new Set(unreadableOf(mailbox).suspects("flags"));
  const { uids: all } = mailbox.table;
  return bad.size === 0
    ? uids
    : uidRunsOf(
        all.filter((one) => !bad.has(one)),
        all,
      );
}

/** Where UIDs may name other messages by now: date and size tell. */
async function lookAtAll(
  mailbox: MailboxState,
  lease: MailboxLease,
  uids: readonly Uid[],
): Promise<Changes | "other messages"> {
  const metas: MessageMeta[] = [];
  if (uids.length > 0) await lease.fetchMeta(uidSetOf(uids), (meta) => metas.push(meta));
  return metas.some((meta) => isOther(mailbox, meta)) ? "other messages" : { flagChanges: metas, metas };
}

/** From where CHANGEDSINCE can tell all that changed (RFC 7162 3.1.4). */
function deltaBase(known: ModSeq, examined: ModSeq | undefined): ModSeq | "all" | "unchanged" {
  if (examined === undefined || known === 0n || examined < known) return "all";
  return examined === known ? "unchanged" : known;
}
