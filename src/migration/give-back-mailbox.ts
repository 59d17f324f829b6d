/**
 * One pass over one mailbox: the legacy server comes to hold what is here, under the same UIDs where they are free.
 * What was done is known by looking, so that a pass that was cut off is just made again; one that changes nothing
 * has proved that both sides are equal.
 */
import { MailError } from "../errors.ts";
import type { ImapSource, MailboxLease } from "../legacy/source.ts";
import { type Flags, flagsOf } from "../mail/flags.ts";
import { type Uid, type UidValidity, uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { AccountStore } from "../store/store.ts";
import { digestHere } from "./compare-bytes.ts";
import { type CutoverMark, readMark } from "./cutover-marks.ts";
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
import { type FullMessage, isFull } from "./local-messages.ts";
import { lostMessages } from "./lost-messages.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { placeholderText, raiseUidNext } from "./placeholders.ts";
import { chunks } from "./pull-meta.ts";
import { type Raised, raiseModSeq } from "./raise-modseq.ts";

export interface GiveBackParts {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly signal: AbortSignal;
}

export interface GivenBack {
  /** How much was changed there. */
  readonly changes: number;
  /** Messages that could not keep their UIDs, with those that they have there. */
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

export function giveBackMailbox(
  parts: GiveBackParts,
  state: MailboxState,
  { digests: known, isLast }: PassOptions,
): Promise<GivenBack> {
  const { store, source, signal } = parts;
  const { record } = state;
  return source.useMailbox(record.name, { priority: "interactive", signal, write: true }, async (lease) => {
    const { examined } = lease;
    const keepsUids = examined.uidValidity === record.uidValidity;
    const sides = await bothSides(state, lease, keepsUids ? readMark(store, record.id) : undefined, store);
    const digests = await digestsOf(parts, state, sides, lease, known);
    const plan = planGiveBack(sides, digests, placeholderDigest);
    const isPermitted = permits(examined.permanentFlags);
    const flagged = await giveFlags(lease, plan, isPermitted);
    const added = await addMissing(parts, state, lease, plan, { isPermitted, keepsUids });
    const raised = keepsUids ? await raiseUidNext(lease, record.name, record.uidNext, removeFrom(lease)) : [];
    await removeThere(lease, [...plan.surplus, ...added.placeholders, ...raised]);
    const modSeqs = keepsUids ? await raiseModSeq(lease, record, isLast) : "theirs";
    const moved = new Map(plan.pairs.flatMap(({ message, uid: there }) => movedOf(message.uid, there)));
    for (const [from, to] of added.uids) if (from !== to) moved.set(from, to);
    return {
      changes: flagged + added.uids.size + plan.surplus.length + raised.length,
      moved: keepsUids ? moved : new Map(),
      uidValidity: keepsUids ? undefined : examined.uidValidity,
      modSeqs,
      changed: keepsUids ? await toldOtherwise(lease, plan, sides.known) : [],
      lostKeywords: lostKeywords(sides.here, isPermitted),
    };
  });
}

const placeholderDigest = lenientDigestOf(placeholderText);

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

const movedOf = (here: Uid, there: Uid): readonly [Uid, Uid][] => (here === there ? [] : [[here, there]]);

async function bothSides(
  state: MailboxState,
  lease: MailboxLease,
  mark: CutoverMark | undefined,
  store: AccountStore,
): Promise<BothSides> {
  const here = state.table.uids.map((one) => state.table.get(one)).filter(isFull);
  const there = new Map<Uid, Flags>();
  const uids = await lease.listUids();
  for (const one of uids) there.set(one, flagsOf([]));
  if (uids.length > 0)
    await lease.fetchFlags(uidSetOf(uids), (told) => {
      if (there.has(told.uid)) there.set(told.uid, told.flags);
    });
  const lost = lostMessages(store, state.record);
  const [known, swept] = mark ? [mark.known, mark.next] : [uid(1), uid(1)];
  return { here, there, known, swept, lost };
}

async function digestsOf(
  { store }: GiveBackParts,
  { record }: MailboxState,
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
  readonly uids: ReadonlyMap<Uid, Uid>;
  readonly placeholders: readonly Uid[];
}

/** In the order of their UIDs: up to each one those that are not used here are used up there. */
async function addMissing(
  { store, signal }: GiveBackParts,
  { record }: MailboxState,
  lease: MailboxLease,
  { missing }: GiveBackPlan,
  { isPermitted, keepsUids }: Adding,
): Promise<Added> {
  const uids = new Map<Uid, Uid>();
  const placeholders: Uid[] = [];
  let next = uid(0);
  for (const message of missing) {
    signal.throwIfAborted();
    if (keepsUids && message.uid !== next)
      placeholders.push(...(await raiseUidNext(lease, record.name, message.uid, removeFrom(lease))));
    const content = store.openMessage(record, message);
    try {
      const flags = message.flags.filter(isPermitted);
      const appended = await lease.append(record.name, {
        content,
        flags,
        internalDate: message.internalDate,
      });
      const there = appended?.uid ?? (await newest(lease));
      uids.set(message.uid, there);
      next = uid(there + 1);
    } catch (error) {
      if (!(error instanceof MailError) || error.code === "UNAVAILABLE") throw error;
      throw new MailError(error.code, `${record.name} UID ${message.uid}: ${error.message}`, error);
    } finally {
      content.close();
    }
  }
  return { uids, placeholders };
}

/** Where the server does not tell: the next pass tells by its bytes whether it is that one. */
async function newest(lease: MailboxLease): Promise<Uid> {
  await lease.examineAgain();
  return (await lease.listUids()).at(-1) ?? uid(1);
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
