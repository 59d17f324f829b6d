/**
 * Keeps what is known of a mailbox equal to what the legacy server tells of it while it stays selected there: what it
 * tells unasked, and along with answers to others, is the delta (RFC 3501 5.2). Where that leaves a gap the mailbox
 * is looked at (sync-mailbox.ts); it is selected again only where the selection is another one than was followed so
 * far, or contradicts itself.
 */
import type { Examined, FlagsOf, LeaseOptions, MailboxLease, MailboxNews } from "../legacy/source.ts";
import { maxUid, uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { describeDoubts, doubtsOf, expireGap, isKnownGap } from "./mailbox-doubts.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { type FirstLook, takeDelta } from "./sync-mailbox.ts";
import { noting } from "./unreadable.ts";

export interface SyncOptions extends LeaseOptions {
  /** A client selects it read-write: what that tells is wanted too. */
  readonly write?: boolean;
  /** HIGHESTMODSEQ is waited for at the first look too. */
  readonly modSeqs?: boolean;
  /** What was asked a moment ago need not be asked again. */
  readonly lately?: boolean;
  /** Flags are looked at of which a server without MODSEQs may not have told. */
  readonly thorough?: boolean;
  /** At the first look: what is told of the mailbox ahead of its UIDs, which take long where there are many. */
  readonly onFirstLook?: ((first: FirstLook) => void) | undefined;
}

/** A server that was asked so lately is not asked again for who only wants to know what there is. */
const latelyMs = 1_000;

export async function syncMailbox(mailbox: MailboxState, options: SyncOptions): Promise<void> {
  // At the first look nothing is known that could have changed: UIDs are all that is wanted.
  const quick = !mailbox.listed && options.priority === "interactive" && !options.modSeqs;
  if (options.write) mailbox.isSelected = true;
  const request = { ...options, quick, write: mailbox.isSelected };
  await mailbox.source.shareMailbox(mailbox.record.name, request, (lease) =>
    mailbox.exclusive(async (waited) => {
      await catchUp(mailbox, lease, { ...options, waited });
      if (!options.write) return;
      mailbox.noteReadOnly(lease.examined.readOnly);
      mailbox.commitPermanentFlags(lease.told.permanentFlags ?? lease.examined.permanentFlags);
    }),
  );
}

/** Takes in what has been told by the way. */
export async function takeTold(mailbox: MailboxState): Promise<void> {
  const request = { priority: "interactive", signal: mailbox.signal, write: mailbox.isSelected } as const;
  await mailbox.source.shareMailbox(mailbox.record.name, request, (lease) =>
    mailbox.exclusive((waited) => catchUp(mailbox, lease, { waited, unasked: true })),
  );
}

/**
 * Whether STATUS says that a mailbox which nobody has open is as it was when all of it came. False where only
 * EXAMINE can tell: without MODSEQs it does not say whether flags have changed.
 */
export async function isUnchanged(mailbox: MailboxState): Promise<boolean> {
  const { source, signal, record, table, isSettled, countsModSeqs } = mailbox;
  if (!isSettled || describeDoubts(mailbox).length > 0) return false;
  if (countsModSeqs || record.highestModSeq === 0n || source.isShared(record.name)) return false;
  const status = await source.use({ priority: "background", signal }, (lease) => lease.status(record.name));
  return (
    status.uidValidity === record.uidValidity &&
    status.uidNext === record.uidNext &&
    status.messages === table.uids.length &&
    status.highestModSeq === record.highestModSeq
  );
}

export interface CatchUpOptions extends Pick<SyncOptions, "lately" | "thorough" | "modSeqs" | "onFirstLook"> {
  /** Only what was told is taken in. */
  readonly unasked?: boolean;
  /** Others may have changed something between the selection and now. */
  readonly waited?: boolean;
}

/** Only inside `exclusive`. */
export async function catchUp(
  mailbox: MailboxState,
  lease: MailboxLease,
  options: CatchUpOptions = {},
): Promise<void> {
  if (options.thorough) expireGap(mailbox);
  if (mailbox.isTransient || !isFollowed(mailbox, lease)) {
    const isFresh = lease.isNew && !options.waited && !taken.has(lease.examined);
    const examined = isFresh ? lease.examined : await lease.examineAgain();
    taken.add(lease.examined);
    // All of it is looked at each time.
    if (mailbox.isTransient) lease.told.take();
    return takeDelta(mailbox, lease, examined, undefined, options.onFirstLook);
  }
  if (isWorthListing(mailbox, lease, options)) return takeDelta(mailbox, lease, await lease.examineAgain());
  const asked = performance.now();
  const isFresh = options.lately === true && asked - mailbox.askedAt < latelyMs;
  if (lacksModSeqs(mailbox, lease, options)) return takeDelta(mailbox, lease, await lease.examineAgain());
  if (!options.unasked && !isFresh) {
    await lease.ask();
    mailbox.noteAsked(asked);
  }
  mailbox.writeUnwritten();
  const isThorough = options.thorough === true && mailbox.countsModSeqs;
  if (!isThorough && !lease.told.hasNews && !isOff(mailbox, lease)) return;
  await takeNews(mailbox, lease, isThorough).catch((error: unknown) => {
    // What was taken is not taken in: another selection has to tell it.
    mailbox.follow(undefined);
    throw error;
  });
}

/** Its last listing was not whole: a new selection may tell other counts. */
function isWorthListing(mailbox: MailboxState, { told }: MailboxLease, options: CatchUpOptions): boolean {
  const isGap = doubtsOf(mailbox).gap !== undefined;
  return isGap && !options.unasked && !isKnownGap(mailbox, told.exists);
}

/** Selections whose answer was taken in once: it tells nothing of what has happened since. */
const taken = new WeakSet<Examined>();

/** What is here is not what is there, though nothing was told: somebody has decided on deletions that were held. */
function isOff(mailbox: MailboxState, { told: { exists } }: MailboxLease): boolean {
  const { table, brake } = mailbox;
  if (exists === undefined || isKnownGap(mailbox, exists)) return false;
  return doubtsOf(mailbox).gap !== undefined || exists !== table.uids.length - brake.held.length;
}

/** What is told on this lease's connection is all that happens. */
export function isFollowed({ followed, listed }: MailboxState, lease: MailboxLease): boolean {
  return listed && followed === lease.examined;
}

/** The first look went without HIGHESTMODSEQ: it is asked for by who has the time. */
function lacksModSeqs(
  { countsModSeqs }: MailboxState,
  lease: MailboxLease,
  options: CatchUpOptions,
): boolean {
  const { highestModSeq, hasNoModSeqs } = lease.examined;
  const isWanted = options.modSeqs === true || options.thorough === true;
  return isWanted && !countsModSeqs && !hasNoModSeqs && highestModSeq === undefined;
}

async function takeNews(mailbox: MailboxState, lease: MailboxLease, isThorough: boolean): Promise<void> {
  const news = lease.told.take();
  if (news.flagNames) mailbox.commitFlagNames(news.flagNames);
  const flags = isThorough ? undefined : await allFlags(lease, news);
  const arrived = (news.exists ?? -1) - (mailbox.table.uids.length - mailbox.brake.held.length);
  const isSimple = flags !== undefined && !hasGone(news) && arrived >= 0;
  if (isSimple && (await takeSimple(mailbox, lease, flags, arrived))) return;
  await takeDelta(mailbox, lease, await lease.look(), { ...news, flags });
}

function hasGone({ expunged, vanished }: MailboxNews): boolean {
  return expunged > 0 || vanished.length > 0;
}

/** Those that were told without a UID are asked for; undefined where they cannot be told any more. */
async function allFlags(lease: MailboxLease, news: MailboxNews): Promise<readonly FlagsOf[] | undefined> {
  if (news.unnamed === "any") return undefined;
  if (news.unnamed.length === 0) return news.flags;
  if (hasGone(news)) return undefined;
  const isWhole = await lease.tellFlags({ numbers: news.unnamed });
  return isWhole ? [...news.flags, ...lease.told.takeFlags()] : undefined;
}

/** Nothing but flags and messages above all others; false where that is not the whole of it, and nothing is done. */
async function takeSimple(
  mailbox: MailboxState,
  lease: MailboxLease,
  flags: readonly FlagsOf[],
  count: number,
): Promise<boolean> {
  if (count === 0) return mailbox.commitTold(flags, []);
  const metas: MessageMeta[] = [];
  const from = Math.max(mailbox.table.uids.at(-1) ?? 0, mailbox.record.uidNext - 1) + 1;
  if (from >= maxUid) return false;
  await noting(
    mailbox,
    lease.fetchMeta([{ from, to: uid(maxUid) }], (meta) => metas.push(meta)),
    "metadata",
  );
  metas.sort((a, b) => a.uid - b.uid);
  return metas.length === count && mailbox.commitTold(flags, metas);
}
