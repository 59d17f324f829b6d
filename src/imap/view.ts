/**
 * One session's view of its mailbox: which UID stands behind each sequence number, as its client knows
 * it, and what has happened since that the client has not been told (RFC 3501 5.2, 7.4.1). Pure.
 *
 * What always holds: applying the notices of every `takeNotices` to the client's list (EXPUNGE n removes
 * the nth, EXISTS appends) gives `uids`. A message that came and went between two notices is never named.
 */
import type { MailboxChange } from "../account/account.ts";
import { unreachable } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import { lowerBound, type RawSequenceSet, resolveSequenceSet, sliceOfRange } from "../mail/number-set.ts";

export type Notice =
  | { readonly kind: "expunge"; readonly sequence: number; readonly uid: Uid }
  | { readonly kind: "exists"; readonly count: number }
  | { readonly kind: "flags"; readonly sequence: number; readonly uid: Uid };

export interface View {
  /** By sequence number, ascending; holds expunged messages until the client is told. */
  readonly uids: readonly Uid[];
  /** Set once the mailbox is gone: why. */
  readonly gone: string | undefined;
  apply(change: MailboxChange): void;
  /** undefined for a UID that this client does not know. */
  sequenceOf(uid: Uid): number | undefined;
  /** Expunged, and the client not told yet. */
  isExpunged(uid: Uid): boolean;
  readonly hasExpunged: boolean;
  /** UIDs of a set of sequence numbers, ascending; undefined where one is above EXISTS. */
  ofSequences(set: RawSequenceSet): readonly Uid[] | undefined;
  /** UIDs of a set of UIDs, ascending: those that this client knows. */
  ofUids(set: RawSequenceSet): readonly Uid[];
  /** Flags have changed, and the client not told yet. */
  isFlagged(uid: Uid): boolean;
  /** The client knows the flags of these, by what it has done itself (STORE .SILENT). */
  silence(uids: readonly Uid[]): void;
  /** What the client is to be told now, in order: expunges (if permitted), EXISTS, flags. */
  takeNotices(options: { readonly expunges: boolean }): readonly Notice[];
}

export function createView(initial: readonly Uid[]): View {
  let uids: readonly Uid[] = initial;
  let arrived: Uid[] = [];
  const expunged = new Set<Uid>();
  const flagged = new Set<Uid>();
  let gone: string | undefined;

  const indexOf = (uid: Uid): number => {
    const index = lowerBound(uids, uid);
    return uids[index] === uid ? index : -1;
  };

  /** Of the mailbox as a whole, as clients ask for it, the list itself: it is never changed in place. */
  const slices = (parts: readonly { readonly first: number; readonly end: number }[]): readonly Uid[] => {
    const [only] = parts;
    if (!only || parts.length > 1) return parts.flatMap(({ first, end }) => uids.slice(first, end));
    return only.first === 0 && only.end === uids.length ? uids : uids.slice(only.first, only.end);
  };

  const apply = (change: MailboxChange): void => {
    switch (change.kind) {
      case "arrived": {
        for (const uid of change.uids) {
          if (uid > (arrived.at(-1) ?? uids.at(-1) ?? 0)) arrived.push(uid);
          // A UID below one already shown cannot be given a sequence number (RFC 3501 2.3.1.1).
          else if (indexOf(uid) < 0 && !arrived.includes(uid))
            gone = "The mailbox has changed, please reopen it";
        }
        return;
      }
      case "expunged": {
        for (const uid of change.uids) if (indexOf(uid) >= 0) expunged.add(uid);
        const dropped = new Set(change.uids);
        if (arrived.length > 0) arrived = arrived.filter((uid) => !dropped.has(uid));
        return;
      }
      case "flags":
        for (const uid of change.uids) flagged.add(uid);
        return;
      case "gone":
        gone = change.reason;
        return;
      default:
        unreachable(change);
    }
  };

  const takeExpunges = (): readonly Notice[] => {
    if (expunged.size === 0) return [];
    // From the highest down, so that none shifts another.
    const uidsDown = [...expunged].sort((a, b) => b - a);
    const notices = uidsDown.map((uid): Notice => ({ kind: "expunge", sequence: indexOf(uid) + 1, uid }));
    uids = uids.filter((uid) => !expunged.has(uid));
    for (const uid of expunged) flagged.delete(uid);
    expunged.clear();
    return notices;
  };

  const takeArrivals = (): readonly Notice[] => {
    if (arrived.length === 0) return [];
    uids = uids.concat(arrived);
    arrived = [];
    return [{ kind: "exists", count: uids.length }];
  };

  const takeFlags = (): readonly Notice[] => {
    const notices: Notice[] = [];
    for (const uid of flagged) {
      const index = indexOf(uid);
      if (index >= 0 && !expunged.has(uid)) notices.push({ kind: "flags", sequence: index + 1, uid });
    }
    flagged.clear();
    return notices;
  };

  return {
    get uids() {
      return uids;
    },
    get gone() {
      return gone;
    },
    get hasExpunged() {
      return expunged.size > 0;
    },
    apply,
    sequenceOf: (uid) => {
      const index = indexOf(uid);
      return index < 0 ? undefined : index + 1;
    },
    isExpunged: (uid) => expunged.has(uid),
    ofSequences: (set) => {
      const count = uids.length;
      if (set.some(({ from, to }) => from !== "*" && to !== "*" && Math.max(from, to) > count))
        return undefined;
      // `5:*` of three messages is the last one, as Dovecot reads it; of none, nothing.
      const ranges = resolveSequenceSet(clampSet(set, count), count);
      return slices(ranges.map(({ from, to }) => ({ first: from - 1, end: to })));
    },
    ofUids: (set) =>
      slices(resolveSequenceSet(set, uids.at(-1) ?? 0).map((range) => sliceOfRange(uids, range))),
    isFlagged: (uid) => flagged.has(uid),
    silence: (known) => {
      for (const uid of known) flagged.delete(uid);
    },
    takeNotices: ({ expunges }) => [...(expunges ? takeExpunges() : []), ...takeArrivals(), ...takeFlags()],
  };
}

function clampSet(set: RawSequenceSet, count: number): RawSequenceSet {
  if (count === 0) return [];
  const clamp = (bound: number | "*"): number => (bound === "*" ? count : Math.min(bound, count));
  return set.map(({ from, to }) => ({ from: clamp(from), to: clamp(to) }));
}
