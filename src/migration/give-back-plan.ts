/** Rollback: what is to be done at the legacy server so that it holds a mailbox as it is here; pure. */
import { type Flags, sameFlags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import type { FullMessage } from "./local-messages.ts";

export interface BothSides {
  /** Ascending. */
  readonly here: readonly FullMessage[];
  readonly there: ReadonlyMap<Uid, Flags>;
  /** The legacy server's. */
  readonly uidNext: Uid;
  /** UIDs mean the same on both sides; else messages are told by their bytes. */
  readonly keepsUids: boolean;
  /** UIDs below were the same messages on both sides at the cutover. */
  readonly known: Uid;
  /** It came there since, and has another UID here. */
  readonly isBroughtOver: (uid: Uid) => boolean;
  /** Somebody has wanted it: else what is not here was lost. */
  readonly isRemovedHere: (uid: Uid) => boolean;
}

/** Of what `unsure` names. */
export interface Digests {
  readonly here: ReadonlyMap<Uid, string>;
  readonly there: ReadonlyMap<Uid, string>;
}

export interface GiveBackPlan {
  /** On both sides. */
  readonly pairs: readonly Pair[];
  /** To be added there, ascending. */
  readonly missing: readonly FullMessage[];
  /** Neither: their UIDs are used up there. They have to get others here first. */
  readonly passed: readonly FullMessage[];
  /** Came there since, and is not here. */
  readonly arrived: readonly Uid[];
  /** To be removed there, once `missing` is added. */
  readonly surplus: readonly Uid[];
  /** Are there, and missing here, and nobody has removed them: they stay. */
  readonly unexplained: readonly Uid[];
}

export interface Pair {
  readonly message: FullMessage;
  readonly uid: Uid;
  readonly flags: Flags;
}

type Known = Pick<BothSides, "known" | "isBroughtOver">;

/** It came there since the cutover: from others, or from us. */
const isLater = ({ known, isBroughtOver }: Known, uid: Uid): boolean => uid >= known && !isBroughtOver(uid);

/** Whose bytes have to be looked at. */
export function unsure({ here, there, ...known }: Omit<BothSides, "isRemovedHere">): {
  readonly here: readonly FullMessage[];
  readonly there: readonly Uid[];
} {
  const later = [...there.keys()].filter((one) => isLater(known, one));
  if (later.length === 0) return { here: [], there: [] };
  return { here: here.filter(({ uid }) => uid >= known.known || !there.has(uid)), there: later };
}

/** `placeholder`: the digest of messages that were added for their UIDs only. */
export function planGiveBack(sides: BothSides, digests: Digests, placeholder: string): GiveBackPlan {
  const { pairs, unpaired } = pairUp(sides, digests);
  const paired = new Set(pairs.map(({ uid }) => uid));
  const { there, keepsUids, uidNext, known, isRemovedHere } = sides;
  const isOurs = ({ uid }: FullMessage): boolean => !keepsUids || uid >= uidNext;
  // One of ours that has got another UID there than it should: it is added once more.
  const unplaced = new Set(keepsUids ? unpaired.map(({ uid }) => digests.here.get(uid)) : []);
  const surplus: Uid[] = [];
  const arrived: Uid[] = [];
  const unexplained: Uid[] = [];
  for (const uid of there.keys()) {
    if (paired.has(uid)) continue;
    const digest = digests.there.get(uid);
    if (!isLater(sides, uid)) {
      if (uid >= known || isRemovedHere(uid)) surplus.push(uid);
      else unexplained.push(uid);
    } else if (digest === placeholder || (digest !== undefined && unplaced.has(digest))) surplus.push(uid);
    else (keepsUids ? arrived : unexplained).push(uid);
  }
  return {
    pairs,
    missing: unpaired.filter(isOurs),
    passed: unpaired.filter((message) => !isOurs(message)),
    arrived,
    surplus,
    unexplained,
  };
}

function pairUp(
  { here, there, keepsUids, ...known }: BothSides,
  digests: Digests,
): { readonly pairs: readonly Pair[]; readonly unpaired: readonly FullMessage[] } {
  const pairs: Pair[] = [];
  const byDigest = new Map<string, Uid[]>();
  for (const uid of keepsUids ? [] : there.keys()) {
    const digest = digests.there.get(uid);
    if (digest !== undefined) byDigest.set(digest, [...(byDigest.get(digest) ?? []), uid]);
  }
  const placeOf = ({ uid }: FullMessage): Uid | undefined => {
    const digest = digests.here.get(uid);
    if (!keepsUids) return byDigest.get(digest ?? "")?.shift();
    if (!there.has(uid)) return undefined;
    const isSame = isLater(known, uid) ? digest === digests.there.get(uid) : uid < known.known;
    return isSame ? uid : undefined;
  };
  const unpaired = here.filter((message) => {
    const uid = placeOf(message);
    const flags = uid && there.get(uid);
    if (uid === undefined || flags === undefined) return true;
    pairs.push({ message, uid, flags });
    return false;
  });
  return { pairs, unpaired };
}

/** Flags to be set and taken away, each with its messages. */
export function flagChanges(
  { pairs }: GiveBackPlan,
  isPermitted: (flag: string) => boolean,
): readonly { readonly kind: "add" | "remove"; readonly flag: string; readonly uids: readonly Uid[] }[] {
  const changes = new Map<string, { kind: "add" | "remove"; flag: string; uids: Uid[] }>();
  const note = (kind: "add" | "remove", flag: string, uid: Uid): void => {
    const key = `${kind} ${flag}`;
    const change = changes.get(key) ?? { kind, flag, uids: [] };
    change.uids.push(uid);
    changes.set(key, change);
  };
  for (const { message, uid, flags } of pairs) {
    if (sameFlags(message.flags, flags)) continue;
    for (const flag of without(message.flags, flags)) if (isPermitted(flag)) note("add", flag, uid);
    for (const flag of without(flags, message.flags)) note("remove", flag, uid);
  }
  return [...changes.values()];
}

/** Keywords are the same in any case (RFC 3501 2.3.2 has them case-insensitive). */
function without(flags: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others.map((flag) => flag.toLowerCase()));
  return flags.filter((flag) => !known.has(flag.toLowerCase()));
}
