/**
 * One pass over one mailbox: the legacy server comes to hold what is here, under the same UIDs where they are free.
 * What was done is known by looking, so that a pass that was cut off is just made again; one that changes nothing
 * has proved that both sides are equal.
 */
import { isUnavailable, MailError } from "../errors.ts";
import type { ImapSource, MailboxLease } from "../legacy/source.ts";
import { type Flags, flagsOf } from "../mail/flags.ts";
import { type Uid, type UidValidity, uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { Authority } from "./authority.ts";
import { digestHere } from "./compare-bytes.ts";
import { isBroughtOver, readMark } from "./cutover-marks.ts";
import { digestingSink } from "./digests.ts";
import {
  type BothSides,
  type Digests,
  flagChanges,
  type GiveBackPlan,
  planGiveBack,
  unsure,
} from "./give-back-plan.ts";
import { lenientDigest, lenientDigestOf } from "./lenient-digest.ts";
import type { FullMessage } from "./local-messages.ts";
import { lostMessages } from "./lost-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { placeholderText, raiseUidNext } from "./placeholders.ts";
import { chunks } from "./pull-meta.ts";
import { type Raised, raiseModSeq } from "./raise-modseq.ts";
import { bringOver } from "./straggler-sweep.ts";

export interface GiveBackParts {
  readonly store: AccountStore;
  readonly source: ImapSource;
  /** Ours. */
  readonly authority: Authority;
  readonly signal: AbortSignal;
}

export interface GivenBack {
  /** How much was changed, there or here. */
  readonly changes: number;
  /** Messages that could not keep their UIDs, with those that they have now, here as well. */
  readonly moved: ReadonlyMap<Uid, Uid>;
  /** What it has there, where it could not keep its own. */
  readonly uidValidity: UidValidity | undefined;
  /** Whether its MODSEQs are above ours. */
  readonly modSeqs: Raised;
  /** Messages that the legacy server tells otherwise: their dates, or sizes. */
  readonly changed: readonly Uid[];
  /** Keywords that the legacy server cannot keep. */
  readonly lostKeywords: readonly string[];
}

/** Of messages there that came since the cutover: bytes of a UID never change. */
export type KnownDigests = Map<Uid, string>;

export interface PassOptions {
  readonly digests: KnownDigests;
  /** Nothing is added here any more: UIDs may be used up. */
  readonly isLast: boolean;
}

/** What is here, of one moment. */
export interface Here {
  readonly record: MailboxRecord;
  readonly messages: readonly FullMessage[];
}

export function giveBackMailbox(
  parts: GiveBackParts,
  mailbox: MailboxMirror,
  { record, messages }: Here,
  { digests: known, isLast }: PassOptions,
): Promise<GivenBack> {
  const { source, signal } = parts;
  return source.useMailbox(record.name, { priority: "interactive", signal, write: true }, async (lease) => {
    const { permanentFlags, uidValidity } = lease.examined;
    const sides = await bothSides(parts, record, messages, lease);
    const { keepsUids } = sides;
    const digests = await digestsOf(parts, record, sides, lease, known);
    const plan = planGiveBack(sides, digests, placeholderDigest);
    const isPermitted = permits(permanentFlags);
    const flagged = await giveFlags(lease, plan, isPermitted);
    const added = await addMissing(parts, record, lease, plan, { isPermitted, keepsUids });
    const raised = keepsUids
      ? (await raiseUidNext(lease, record.name, record.uidNext, removeFrom(lease))).left
      : [];
    await removeThere(lease, [...plan.surplus, ...added.placeholders, ...raised]);
    const modSeqs = keepsUids ? await raiseModSeq(lease, record, isLast) : "theirs";
    const moved = await moveUp(parts, mailbox, plan.passed);
    // What is above all of ours may stay where it is, once nothing is added here.
    const inBetween = plan.arrived.filter((one) => !isLast || one < record.uidNext);
    for (const one of inBetween) await bringUp(parts, mailbox, lease, one);
    return {
      changes:
        flagged + plan.missing.length + plan.surplus.length + raised.length + moved.size + inBetween.length,
      moved,
      uidValidity: keepsUids ? undefined : uidValidity,
      modSeqs,
      changed: keepsUids ? await toldOtherwise(lease, plan, sides.known) : [],
      lostKeywords: lostKeywords(sides.here, isPermitted),
    };
  });
}

/** Of those that were given back under their own UIDs. */
async function toldOtherwise(
  lease: MailboxLease,
  { pairs }: GiveBackPlan,
  known: Uid,
): Promise<readonly Uid[]> {
  const given = new Map<Uid, FullMessage>();
  for (const { message, uid: there } of pairs)
    if (there === message.uid && there >= known) given.set(there, message);
  const changed: Uid[] = [];
  if (given.size === 0) return changed;
  await lease.fetchMeta(uidSetOf(given.keys()), ({ uid: one, sizeBytes, internalDate }) => {
    const here = given.get(one);
    if (!here) return;
    const isSame =
      here.sizeBytes === sizeBytes &&
      here.internalDate.epochSeconds === internalDate.epochSeconds &&
      here.internalDate.zoneMinutes === internalDate.zoneMinutes;
    if (!isSame) changed.push(one);
  });
  return changed;
}

/** Room for what comes meanwhile, so that the next pass is not too late again. */
const uidGap = 20;

/** Messages whose UIDs are used up there get others here; that is told as one going, and one coming. */
async function moveUp(
  { authority }: GiveBackParts,
  mailbox: MailboxMirror,
  passed: readonly FullMessage[],
): Promise<ReadonlyMap<Uid, Uid>> {
  const uids = passed.map(({ uid: one }) => one);
  if (uids.length === 0) return new Map();
  mailbox.state.reserveUids(uidGap);
  const copied = await authority.move(mailbox, uids, mailbox.state.record.name);
  return new Map(copied?.from.map((from, index) => [from, copied.to[index] ?? from]));
}

/** Below UIDs that clients know here, they would never look for it. */
async function bringUp(
  { store }: GiveBackParts,
  mailbox: MailboxMirror,
  lease: MailboxLease,
  from: Uid,
): Promise<void> {
  mailbox.state.reserveUids(uidGap);
  await bringOver(store, mailbox, lease, from);
}

const placeholderDigest = lenientDigestOf(placeholderText);

async function bothSides(
  { store }: GiveBackParts,
  record: MailboxRecord,
  here: readonly FullMessage[],
  lease: MailboxLease,
): Promise<BothSides> {
  const there = new Map<Uid, Flags>();
  const uids = await lease.listUids();
  for (const one of uids) there.set(one, flagsOf([]));
  if (uids.length > 0)
    await lease.fetchFlags(uidSetOf(uids), (told) => {
      if (there.has(told.uid)) there.set(told.uid, told.flags);
    });
  const { uidValidity, uidNext: told } = lease.examined;
  const uidNext = uid(Math.max(told, (uids.at(-1) ?? 0) + 1));
  const keepsUids = uidValidity === record.uidValidity;
  const mark = keepsUids ? readMark(store, record.id) : undefined;
  return {
    here,
    there,
    uidNext,
    keepsUids,
    known: mark?.known ?? uid(1),
    isBroughtOver: mark ? isBroughtOver(mark) : () => false,
    lost: lostMessages(store, record),
  };
}

async function digestsOf(
  { store }: GiveBackParts,
  record: MailboxRecord,
  sides: BothSides,
  lease: MailboxLease,
  known: KnownDigests,
): Promise<Digests> {
  const asked = unsure(sides);
  const unknown = asked.there.filter((one) => !known.has(one));
  for (const part of chunks(unknown, messagesAtOnce))
    await lease.fetchBodies(uidSetOf(part), digestingSink(known, lenientDigest));
  const here = new Map<Uid, string>();
  for (const message of asked.here)
    here.set(message.uid, await digestHere(() => store.openMessage(record, message), lenientDigest));
  return { here, there: known };
}

const messagesAtOnce = 200;

/** Without PERMANENTFLAGS all can be kept (RFC 3501 7.1). */
function permits(permanentFlags: readonly string[]): (flag: string) => boolean {
  const named = new Set(permanentFlags.map((flag) => flag.toLowerCase()));
  if (named.size === 0) return () => true;
  return (flag) => named.has(flag.toLowerCase()) || (named.has("\\*") && !flag.startsWith("\\"));
}

function lostKeywords(
  messages: readonly FullMessage[],
  isPermitted: (flag: string) => boolean,
): readonly string[] {
  return [...new Set(messages.flatMap(({ flags }) => flags))].filter((flag) => !isPermitted(flag));
}

async function giveFlags(
  lease: MailboxLease,
  plan: GiveBackPlan,
  isPermitted: (flag: string) => boolean,
): Promise<number> {
  const changes = flagChanges(plan, isPermitted);
  for (const { kind, flag, uids } of changes)
    await lease.store(uidSetOf(uids), { kind, flags: [flag] }, () => undefined);
  return changes.length;
}

interface Adding {
  readonly isPermitted: (flag: string) => boolean;
  readonly keepsUids: boolean;
}

interface Added {
  readonly placeholders: readonly Uid[];
}

/**
 * In the order of their UIDs: up to each one those that are not used here are used up there. What does not get its own
 * UID in spite of that is found by the next pass.
 */
async function addMissing(
  { store, signal }: GiveBackParts,
  record: MailboxRecord,
  lease: MailboxLease,
  { missing }: GiveBackPlan,
  { isPermitted, keepsUids }: Adding,
): Promise<Added> {
  const placeholders: Uid[] = [];
  let next: number | undefined;
  for (const message of missing) {
    signal.throwIfAborted();
    if (keepsUids && message.uid !== next) {
      const raised = await raiseUidNext(lease, record.name, message.uid, removeFrom(lease));
      placeholders.push(...raised.left);
      if (raised.uidNext !== message.uid) break;
    }
    const content = store.openMessage(record, message);
    try {
      const flags = message.flags.filter(isPermitted);
      const { internalDate } = message;
      const appended = await lease.append(record.name, { content, flags, internalDate });
      next = appended && appended.uid + 1;
    } catch (error) {
      if (isUnavailable(error) || !(error instanceof MailError)) throw error;
      throw new MailError(error.code, `${record.name} UID ${message.uid}: ${error.message}`, error);
    } finally {
      content.close();
    }
  }
  return { placeholders };
}

const removeFrom =
  (lease: MailboxLease) =>
  (uids: readonly Uid[]): Promise<void> =>
    removeThere(lease, uids);

/** Without UIDPLUS what others have marked \Deleted would go along: it is unmarked meanwhile. */
async function removeThere(lease: MailboxLease, uids: readonly Uid[]): Promise<void> {
  if (uids.length === 0) return;
  const removed = uidSetOf(uids);
  const mark = { kind: "add", flags: ["\\Deleted"] } as const;
  if (lease.capabilities.has("UIDPLUS")) {
    await lease.store(removed, mark, () => undefined);
    return lease.expunge(removed);
  }
  const named = new Set(uids);
  const others = uidSetOf((await lease.listDeleted()).filter((one) => !named.has(one)));
  if (others.length > 0) await lease.store(others, { ...mark, kind: "remove" }, () => undefined);
  try {
    await lease.store(removed, mark, () => undefined);
    await lease.expunge();
  } finally {
    if (others.length > 0) await lease.store(others, mark, () => undefined);
  }
}
