/**
 * One pass over one mailbox: the legacy server comes to hold what is here, under the same UIDs where they are free.
 * What was done is known by looking, so that a pass that was cut off is just made again; one that changes nothing
 * has proved that both sides are equal. The first looks at all of it, the others at what has changed here or was
 * changed there since.
 */
import { isLasting, MailError } from "../errors.ts";
import type { ImapSource, MailboxLease } from "../legacy/source.ts";
import type { Flags } from "../mail/flags.ts";
import { maxUid, type Uid, type UidValidity, uid } from "../mail/ids.ts";
import { type UidSet, uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { Authority } from "./authority.ts";
import { digestHere } from "./compare-bytes.ts";
import { readMark } from "./cutover-marks.ts";
import { digestingSink } from "./digests.ts";
import { giveFlags, permitted } from "./give-back-flags.ts";
import { addMissing, bringUp, moveUp } from "./give-back-messages.ts";
import { type BothSides, type Digests, type GiveBackPlan, planGiveBack, unsure } from "./give-back-plan.ts";
import { lenientDigest, lenientDigestOf } from "./lenient-digest.ts";
import type { FullMessage } from "./local-messages.ts";
import { lossesOf } from "./losses.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { placeholderText, raiseUidNext } from "./placeholders.ts";
import { chunks } from "./pull-meta.ts";
import { type Raised, raiseModSeq } from "./raise-modseq.ts";
import { removeThere } from "./remove-there.ts";
import { removedHere } from "./removed-here.ts";
import { broughtOver } from "./straggler-sweep.ts";

export interface GiveBackParts {
  readonly store: AccountStore;
  readonly source: ImapSource;
  /** Ours. */
  readonly authority: Authority;
  readonly signal: AbortSignal;
}

/** What is here, of one moment. */
export interface Here {
  readonly record: MailboxRecord;
  readonly messages: readonly FullMessage[];
}

/** What the passes over one mailbox have come to know. */
export interface Progress {
  /** At the last pass; undefined before the first. */
  here: ReadonlyMap<Uid, FullMessage> | undefined;
  /** What the last pass has changed there. */
  touched: ReadonlySet<Uid>;
  /** The legacy server's, at the beginning of the last pass. */
  uidNext: Uid;
  /** Of messages that came since the cutover, on either side: bytes of a UID never change. */
  readonly digests: { readonly here: Map<Uid, string>; readonly there: Map<Uid, string> };
  /** Changes of keywords that the last pass has made. */
  tried: ReadonlySet<string>;
  /** Keywords that the legacy server cannot keep. */
  readonly lostKeywords: Set<string>;
  /** Messages that it tells otherwise: their dates, or sizes. */
  readonly changed: Set<Uid>;
  /** Messages that could not keep their UIDs, with those that they have now, here as well. */
  readonly moved: Map<Uid, Uid>;
  /** Messages that it would not add, since it keeps the same bytes already: here, and there. */
  readonly merged: Map<Uid, Uid>;
  /** Messages there that are missing here, and that nobody has removed. */
  readonly unexplained: Set<Uid>;
  /** What it has there, where it could not keep its own. */
  uidValidity: UidValidity | undefined;
  /** Whether its MODSEQs are above ours. */
  modSeqs: Raised;
}

export function createProgress(): Progress {
  return {
    here: undefined,
    touched: new Set(),
    uidNext: uid(1),
    digests: { here: new Map(), there: new Map() },
    tried: new Set(),
    lostKeywords: new Set(),
    changed: new Set(),
    moved: new Map(),
    merged: new Map(),
    unexplained: new Set(),
    uidValidity: undefined,
    modSeqs: "none",
  };
}

/**
 * How much was changed, there or here. `isLast`: nothing is added here any more, and UIDs may be used up. Throws
 * CANNOT where the legacy server is not what it was at the cutover.
 */
export function giveBackMailbox(
  parts: GiveBackParts,
  mailbox: MailboxMirror,
  { record, messages }: Here,
  progress: Progress,
  isLast: boolean,
): Promise<number> {
  const { source, signal, store } = parts;
  const request = { priority: "interactive", signal, write: true } as const;
  const pass = async (lease: MailboxLease): Promise<number> => {
    const { permanentFlags, uidValidity } = lease.examined;
    const keepsUids = uidValidity === record.uidValidity;
    // Before anything is changed there: what is changed must be above what clients were told.
    const modSeqs = keepsUids ? await raiseModSeq(lease, record, isLast) : "theirs";
    const given = messages.filter((message) => !progress.merged.has(message.uid));
    const here = new Map(given.map((message) => [message.uid, message]));
    const scope = keepsUids ? scopeOf(progress, here) : "all";
    const sides = await bothSides(parts, mailbox, record, given, lease, scope);
    const plan = planGiveBack(
      sides,
      await digestsOf(parts, record, sides, lease, progress),
      placeholderDigest,
    );
    const isPermitted = permitted(permanentFlags, progress.lostKeywords);
    const flagged = await giveFlags(lease, plan, isPermitted, progress);
    const isAllAdded = await addMissing(parts, record, lease, plan, { keepsUids, progress });
    if (keepsUids && sides.uidNext < record.uidNext) await raiseUidNext(lease, record.name, record.uidNext);
    // Of what was brought over there may be no other copy there yet.
    if (isAllAdded) await removeThere(lease, plan.surplus);
    await noteToldOtherwise(lease, plan, sides, progress);
    const moved = await moveUp(parts, mailbox, plan.passed, progress);
    // What is above all of ours may stay where it is, once nothing is added here.
    const inBetween = plan.arrived.filter((one) => !isLast || one < record.uidNext);
    await bringUp(store, mailbox, lease, inBetween);
    for (const one of plan.unexplained) progress.unexplained.add(one);
    progress.here = here;
    const added = plan.missing.map((one) => one.uid);
    progress.touched = new Set([...flagged.uids, ...added, ...plan.surplus, ...plan.arrived]);
    progress.uidNext = sides.uidNext;
    progress.uidValidity = keepsUids ? undefined : uidValidity;
    progress.modSeqs = modSeqs;
    return flagged.count + plan.missing.length + plan.surplus.length + moved + inBetween.length;
  };
  return source.useMailbox(record.name, request, pass).catch((error: unknown) => {
    // What it has left half done is anywhere: the next one looks at all of it.
    progress.here = undefined;
    if (!isLasting(error)) throw error;
    throw new MailError(error.code, `${record.name}: ${error.message}`, error);
  });
}

const placeholderDigest = lenientDigestOf(placeholderText);

interface Scope {
  readonly uids: ReadonlySet<Uid>;
  /** And all above. */
  readonly from: Uid;
}

function scopeOf(
  { here: before, touched, uidNext }: Progress,
  here: ReadonlyMap<Uid, FullMessage>,
): Scope | "all" {
  if (!before) return "all";
  const uids = new Set(touched);
  for (const [one, message] of here) if (before.get(one) !== message) uids.add(one);
  for (const one of before.keys()) if (!here.has(one)) uids.add(one);
  return { uids, from: uidNext };
}

async function bothSides(
  { store }: GiveBackParts,
  { state }: MailboxMirror,
  record: MailboxRecord,
  messages: readonly FullMessage[],
  lease: MailboxLease,
  scope: Scope | "all",
): Promise<BothSides> {
  const { uidValidity, uidNext: told } = lease.examined;
  const keepsUids = uidValidity === record.uidValidity;
  const mark = keepsUids ? readMark(store, record.id) : undefined;
  if (mark && told < mark.known)
    throw new MailError("CANNOT", `UIDNEXT there is ${told}, and was ${mark.known} at the cutover`);
  const isAsked = (one: Uid): boolean => scope === "all" || scope.uids.has(one) || one >= scope.from;
  const here = messages.filter((message) => isAsked(message.uid));
  const known = mark?.known ?? uid(1);
  const there =
    scope === "all"
      ? await lookAtAll(store, record, lease, here, known)
      : await lookAt(lease, [...uidSetOf(scope.uids), { from: scope.from, to: maxUid }]);
  return {
    here,
    there,
    uidNext: uid(Math.max(told, ...[...there.keys()].slice(-1).map((one) => one + 1))),
    keepsUids,
    known,
    isBroughtOver: mark ? broughtOver(store, state) : () => false,
    isRemovedHere: removedHere(store, record),
  };
}

/** In the order of the UIDs. */
function sorted(flags: ReadonlyMap<Uid, Flags>): ReadonlyMap<Uid, Flags> {
  return new Map([...flags].sort(([a], [b]) => a - b));
}

async function lookAt(lease: MailboxLease, uids: UidSet): Promise<ReadonlyMap<Uid, Flags>> {
  const there = new Map<Uid, Flags>();
  await lease.fetchFlags(uids, (told) => there.set(told.uid, told.flags));
  return sorted(there);
}

/** A server that was put back from a backup gives the same UIDs to other messages. */
async function lookAtAll(
  store: AccountStore,
  record: MailboxRecord,
  lease: MailboxLease,
  here: readonly FullMessage[],
  known: Uid,
): Promise<ReadonlyMap<Uid, Flags>> {
  const ours = new Map(here.filter(({ uid: one }) => one < known).map((message) => [message.uid, message]));
  const there = new Map<Uid, Flags>();
  const doubted: FullMessage[] = [];
  // What was accepted as lost cannot be read there, and stays as it is.
  const { accepted } = lossesOf(store, record);
  const uids = (await lease.listUids()).filter((one) => ours.has(one) || !accepted.has(one));
  if (uids.length === 0) return there;
  await lease.fetchMeta(uidSetOf(uids), ({ uid: one, flags, sizeBytes, internalDate }) => {
    there.set(one, flags);
    const message = ours.get(one);
    if (!message) return;
    const isSame =
      message.sizeBytes === sizeBytes && message.internalDate.epochSeconds === internalDate.epochSeconds;
    if (!isSame) doubted.push(message);
  });
  const digests = new Map<Uid, string>();
  await readThere(
    lease,
    doubted.map((message) => message.uid),
    digests,
  );
  for (const message of doubted)
    if ((await readHere(store, record, message)) !== digests.get(message.uid))
      throw new MailError("CANNOT", `UID ${message.uid} is another message there`);
  return sorted(there);
}

async function digestsOf(
  { store }: GiveBackParts,
  record: MailboxRecord,
  sides: BothSides,
  lease: MailboxLease,
  { digests }: Progress,
): Promise<Digests> {
  const asked = unsure(sides);
  const unknown = asked.there.filter((one) => !digests.there.has(one));
  await readThere(lease, unknown, digests.there);
  for (const message of asked.here)
    if (!digests.here.has(message.uid)) digests.here.set(message.uid, await readHere(store, record, message));
  return digests;
}

const messagesAtOnce = 200;

async function readThere(lease: MailboxLease, uids: readonly Uid[], into: Map<Uid, string>): Promise<void> {
  for (const part of chunks(uids, messagesAtOnce))
    await lease.fetchBodies(uidSetOf(part), digestingSink(into, lenientDigest));
}

function readHere(store: AccountStore, record: MailboxRecord, message: FullMessage): Promise<string> {
  return digestHere(() => store.openMessage(record, message), lenientDigest);
}

/** Of those that were given back under their own UIDs. */
async function noteToldOtherwise(
  lease: MailboxLease,
  { pairs }: GiveBackPlan,
  { keepsUids, known }: BothSides,
  { changed }: Progress,
): Promise<void> {
  const given = new Map<Uid, FullMessage>();
  for (const { message, uid: there } of keepsUids ? pairs : []) if (there >= known) given.set(there, message);
  if (given.size === 0) return;
  await lease.fetchMeta(uidSetOf(given.keys()), ({ uid: one, sizeBytes, internalDate }) => {
    const here = given.get(one);
    if (!here) return;
    const isSame =
      here.sizeBytes === sizeBytes &&
      here.internalDate.epochSeconds === internalDate.epochSeconds &&
      here.internalDate.zoneMinutes === internalDate.zoneMinutes;
    if (!isSame) changed.add(one);
  });
}
