/** Rollback: what is to be done at the legacy server so that it holds a mailbox as it is here; pure. */
import { type Flags, sameFlags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import type { FullMessage } from "./local-messages.ts";

export interface BothSides {
  /** Ascending. */
  readonly here: readonly FullMessage[];
  readonly there: ReadonlyMap<Uid, Flags>;
  /** UIDs below were the same messages on both sides at the cutover. */
  readonly known: Uid;
  /** UIDs from `known` to below were brought over, and have other UIDs here. */
  readonly swept: Uid;
  /** Messages that are lost here: nobody has wanted them removed. */
  readonly lost: ReadonlySet<Uid>;
}

/** Of what `unsure` names. */
export interface Digests {
  readonly here: ReadonlyMap<Uid, string>;
  readonly there: ReadonlyMap<Uid, string>;
}

export interface GiveBackPlan {
  /** On both sides. */
  readonly pairs: readonly { readonly message: FullMessage; readonly uid: Uid; readonly flags: Flags }[];
  /** Whose UIDs are still free there first, ascending. */
  readonly missing: readonly FullMessage[];
  /** To be removed there, once `missing` is. */
  readonly surplus: readonly Uid[];
}

/** Whose bytes have to be looked at. */
export function unsure({ here, there, known, swept }: Omit<BothSides, "lost">): {
  readonly here: readonly FullMessage[];
  readonly there: readonly Uid[];
} {
  const strangers = [...there.keys()].filter((one) => one >= known && one >= swept);
  if (strangers.length === 0) return { here: [], there: [] };
  return { here: here.filter(({ uid }) => uid >= known || !there.has(uid)), there: strangers };
}

/** `placeholder`: the digest of messages that were added for their UIDs only. */
export function planGiveBack(
  { here, there, known, swept, lost }: BothSides,
  digests: Digests,
  placeholder: string,
): GiveBackPlan {
  const pairs: { message: FullMessage; uid: Uid; flags: Flags }[] = [];
  const free = new Map<string, Uid[]>();
  const isOurs = (uid: Uid): boolean => uid >= known && uid >= swept;
  const isSame = ({ uid }: FullMessage): boolean =>
    there.has(uid) && (uid < known || (isOurs(uid) && digests.here.get(uid) === digests.there.get(uid)));
  const paired = new Set<Uid>();
  const pair = (message: FullMessage, uid: Uid): void => {
    paired.add(uid);
    pairs.push({ message, uid, flags: there.get(uid) as Flags });
  };
  const unpaired = here.filter((message) => {
    if (isSame(message)) pair(message, message.uid);
    else return true;
    return false;
  });
  for (const uid of there.keys()) {
    const digest = digests.there.get(uid);
    if (!isOurs(uid) || paired.has(uid) || digest === undefined || digest === placeholder) continue;
    free.set(digest, [...(free.get(digest) ?? []), uid]);
  }
  const missing = unpaired.filter((message) => {
    const other = free.get(digests.here.get(message.uid) ?? "")?.shift();
    if (other !== undefined) pair(message, other);
    return other === undefined;
  });
  const surplus = [...there.keys()].filter((uid) =>
    isOurs(uid) ? digests.there.get(uid) === placeholder : !paired.has(uid) && !lost.has(uid),
  );
  const isFree = ({ uid }: FullMessage): boolean => uid >= known;
  return {
    pairs,
    missing: [...missing.filter(isFree), ...missing.filter((message) => !isFree(message))],
    surplus,
  };
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
