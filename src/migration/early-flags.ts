/**
 * Flags of messages of which nothing else is here but the UID: clients ask for them first, and of whole mailboxes.
 * Sessions may have told their clients what is kept here, so that whoever brings other flags has to announce them.
 *
 * Answers come from several connections, and an older one may be read after a newer one. Hence two ranks:
 * - firm: told by a delta or a change, or with a MODSEQ. Among firm ones MODSEQs decide; without them the one that was
 *   read last does, since deltas and changes of a mailbox come one after the other.
 * - soft: brought by a FETCH of nothing but flags from a server that told no MODSEQ with them. That FETCH may have been
 *   answered before or after a delta or metadata that are read while it runs, and nothing tells which. So it takes
 *   nobody's place, and gives way to all of them. Where that was wrong the next delta puts it right: without a known
 *   HIGHESTMODSEQ it looks at the flags of all messages, and with one the newer flags have a MODSEQ above it.
 */
import type { FlagsOf } from "../legacy/source.ts";
import { type Flags, sameFlags } from "../mail/flags.ts";
import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import { newest } from "./compare.ts";
import { type MessageTable, remoteIn } from "./message-table.ts";
import { createUidColumn } from "./uid-column.ts";

export interface KnownEarly {
  readonly isEmpty: boolean;
  get(uid: Uid): Flags | undefined;
  /** The legacy server's MODSEQ that goes with them; undefined where it did not tell it. */
  modSeqOf(uid: Uid): ModSeq | undefined;
}

export interface EarlyFlags extends KnownEarly {
  /**
   * What a delta or a change has told, of messages that are `remote`. Gives those of which other flags were kept here,
   * which clients may have been told.
   */
  noteChanges(table: MessageTable, changes: readonly FlagsOf[]): readonly Uid[];
  /** The same with what a FETCH of nothing but flags has brought. */
  noteFetched(table: MessageTable, fetched: readonly FlagsOf[]): readonly Uid[];
  /** The metadata have come: the message leaves, with the newest of its flags. */
  take(meta: MessageMeta): TakenFlags;
  drop(uids: Iterable<Uid>): void;
  /** The legacy server has lost its MODSEQs: those that are known here tell nothing any more. */
  forgetModSeqs(): void;
  clear(): void;
}

export interface TakenFlags {
  readonly flags: Flags;
  readonly modSeq: ModSeq;
  /** Clients may have been told others at some time. */
  readonly isOther: boolean;
}

/** Flags alone are soft. */
type Entry = Flags | FlagsOf;

export function createEarlyFlags(): EarlyFlags {
  const entries = createUidColumn<Entry>();
  /** Those that were here with other flags before. */
  const changed = new Set<Uid>();

  const replace = (uid: Uid, entry: Entry, known: Entry | undefined): boolean => {
    entries.set(uid, entry);
    if (known === undefined || sameFlags(flagsIn(known), flagsIn(entry))) return false;
    changed.add(uid);
    return true;
  };
  const noteChange = (change: FlagsOf): boolean => {
    const known = entries.get(change.uid);
    if (known && isFirm(known) && isNewer(known, change)) return false;
    return replace(change.uid, change, known);
  };
  const noteFetched = (fetched: FlagsOf): boolean => {
    const known = entries.get(fetched.uid);
    if (known && isFirm(known) && !isNewer(fetched, known)) return false;
    return replace(fetched.uid, fetched.modSeq > 0n ? fetched : fetched.flags, known);
  };
  const drop = (uid: Uid): void => {
    entries.delete(uid);
    changed.delete(uid);
  };

  return {
    get isEmpty() {
      return entries.size === 0;
    },
    get(uid) {
      const entry = entries.get(uid);
      return entry && flagsIn(entry);
    },
    modSeqOf(uid) {
      const entry = entries.get(uid);
      return entry && isFirm(entry) && entry.modSeq > 0n ? entry.modSeq : undefined;
    },
    noteChanges: (table, changes) => noteAll(table, changes, noteChange),
    noteFetched: (table, fetched) => noteAll(table, fetched, noteFetched),
    take(meta) {
      const known = entries.get(meta.uid);
      if (!known) return { flags: meta.flags, modSeq: meta.modSeq, isOther: false };
      const { flags, modSeq } = newest(meta, isFirm(known) ? known : undefined);
      const isOther = changed.has(meta.uid) || !sameFlags(flagsIn(known), flags);
      drop(meta.uid);
      return { flags, modSeq, isOther };
    },
    drop(uids) {
      for (const uid of uids) drop(uid);
    },
    forgetModSeqs() {
      entries.replaceAll((entry) => (isFirm(entry) ? { ...entry, modSeq: noModSeq } : entry));
    },
    clear() {
      entries.clear();
      changed.clear();
    },
  };
}

function noteAll(
  table: MessageTable,
  all: readonly FlagsOf[],
  note: (one: FlagsOf) => boolean,
): readonly Uid[] {
  const isRemote = remoteIn(table);
  const others: Uid[] = [];
  for (const one of all) if (isRemote(one.uid) && note(one)) others.push(one.uid);
  return others;
}

/** Of a message in the mailbox; undefined where they are not known, or it is not there. */
export function flagsKnown(
  { table, early }: { readonly table: MessageTable; readonly early: KnownEarly },
  uid: Uid,
): Flags | undefined {
  const known = early.get(uid);
  if (known) return known;
  const message = table.get(uid);
  return message && message.presence !== "remote" ? message.flags : undefined;
}

function isFirm(entry: Entry): entry is FlagsOf {
  return !Array.isArray(entry);
}

function flagsIn(entry: Entry): Flags {
  return isFirm(entry) ? entry.flags : entry;
}

/** For certain: both have a MODSEQ. */
function isNewer(one: FlagsOf, other: FlagsOf): boolean {
  return other.modSeq > 0n && one.modSeq > other.modSeq;
}
