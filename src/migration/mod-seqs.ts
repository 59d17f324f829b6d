/**
 * Where the MODSEQs of one mailbox come from (RFC 7162): from the legacy server, verbatim, or, where it has
 * none and in a local account, counted here. A counted one is not written down for itself: the messages
 * and the log of expunges carry them, and the highest is found there again.
 */
import { type ModSeq, modSeq, type Uid, type UidValidity } from "../mail/ids.ts";
import { numbersOf, sizeOfRanges, withoutNumbers } from "../mail/range-sets.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";

export interface ModSeqs {
  /** Counted here, and then for as long as UIDVALIDITY holds: numbers of two sides cannot be compared. */
  readonly counted: boolean;
  /** The legacy server has none. */
  count(uidValidity: UidValidity): void;
  /** Local no more: the legacy server's are above all of ours, and are taken from now on, or they go on being counted. */
  leaveLocal(next: "theirs" | "counted"): void;
  /** The log of expunges begins anew with the mailbox, of which no number above `highest` was told. */
  restart(highest: ModSeq): void;
  /** `at` 0: nobody knows when, and the log cannot tell any more. */
  logExpunged(uids: readonly Uid[], at: ModSeq): void;
  /** Messages that came and went between two listings: UIDs from `from` to below `to` that are not listed. */
  logUnseen(from: Uid, to: Uid, listed: readonly Uid[], at: ModSeq): void;
  /** Starts the log where there is none yet, or where the legacy server's numbers have gone back. */
  startLog(highest: ModSeq): void;
}

export interface ModSeqsOptions {
  readonly store: AccountStore;
  readonly record: MailboxRecord;
  readonly isLocal: boolean;
}

/** Where more go at once the log begins anew: it would hold up everybody, and soon forget the rest. */
const maxAtOnce = 10_000;

const firstModSeq: ModSeq = modSeq(1n);

export function openModSeqs({ store, record: { id, uidValidity }, isLocal }: ModSeqsOptions): ModSeqs {
  const countedKey = `modseqs:${id}`;
  let isOurs = isLocal;
  let counted = isLocal || store.readSetting(countedKey) === `counted:${uidValidity}`;
  let begin = store.expunges.begin(id);
  /** From `at` on; 0: from when it is known again. */
  const startAnew = (at: ModSeq): void => {
    if (at > 0n) store.expunges.start(id, at);
    else store.expunges.remove(id);
    begin = at > 0n ? at : undefined;
  };
  const logExpunged: ModSeqs["logExpunged"] = (uids, at) => {
    if (uids.length === 0 || begin === undefined) return;
    if (at > 0n && uids.length <= maxAtOnce) store.expunges.add(id, uids, at);
    else startAnew(at);
  };
  return {
    get counted() {
      return counted;
    },
    count(uidValidity) {
      store.writeSetting(countedKey, `counted:${uidValidity}`);
      counted = true;
    },
    leaveLocal(next) {
      counted = next === "counted";
      isOurs = false;
      store.writeSetting(countedKey, counted ? `counted:${uidValidity}` : "");
    },
    restart(highest) {
      if (counted) noteForgotten(store, highest);
      counted = isOurs;
      begin = undefined;
    },
    logExpunged,
    logUnseen(from, to, listed, at) {
      if (from >= to || begin === undefined) return;
      const unseen = withoutNumbers([{ from, to: to - 1 }], listed);
      if (sizeOfRanges(unseen) > maxAtOnce) startAnew(at);
      else logExpunged(numbersOf(unseen) as Uid[], at);
    },
    startLog(highest) {
      if (highest > 0n && (begin === undefined || begin > highest)) startAnew(highest);
    },
  };
}

const forgottenKey = "modseqs-forgotten";

/**
 * MODSEQs were counted so far in a mailbox that is forgotten: should one of its UIDVALIDITY come back, under whatever
 * name, they go on above.
 */
export function noteForgotten(store: AccountStore, highest: ModSeq): void {
  if (highest > forgottenUpTo(store)) store.writeSetting(forgottenKey, `${highest}`);
}

function forgottenUpTo(store: AccountStore): ModSeq {
  const kept = store.readSetting(forgottenKey);
  return kept ? next(modSeq(BigInt(kept))) : firstModSeq;
}

/** Of a mailbox whose MODSEQs are counted here: above or equal to every one that a client was told. */
export function highestCounted(
  store: AccountStore,
  record: MailboxRecord,
  messages: readonly StoredMessage[],
): ModSeq {
  let highest = forgottenUpTo(store);
  const note = (value: ModSeq): void => {
    if (value > highest) highest = value;
  };
  note(record.highestModSeq);
  note(store.expunges.highest(record.id));
  for (const message of messages) if (message.presence !== "remote") note(message.modSeq);
  return highest;
}

/**
 * The highest MODSEQ once what was told with these is known, where all below is known then: each change takes the
 * next number. undefined where one is left out: somebody has changed something that was not told.
 */
export function followedUpTo(known: ModSeq, told: readonly ModSeq[]): ModSeq | undefined {
  if (known === 0n) return known;
  let highest = known;
  for (const one of [...told].sort((a, b) => (a < b ? -1 : Number(a > b)))) {
    if (one > highest + 1n) return undefined;
    if (one > highest) highest = one;
  }
  return highest;
}

export function next(highest: ModSeq): ModSeq {
  return modSeq(highest + 1n);
}

/** More than a mailbox may have counted since a backup of its sidecar was made. */
export function farAbove(highest: ModSeq): ModSeq {
  return modSeq(highest + (1n << 24n));
}
