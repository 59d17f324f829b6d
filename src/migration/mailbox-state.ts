/**
 * What is known here of one mailbox, and the only ways to change it. The parts of the mirror (sync, the
 * pulls) share one state per mailbox; a change is committed to the table and the store first and
 * announced afterwards, so that whoever hears of it finds it done.
 *
 * What always holds
 * - `table.uids` is one listing of the legacy server, whole: no UID is shown while one below is unknown.
 * - `record.uidNext` never goes down under one UIDVALIDITY.
 * - `record.highestModSeq` is raised only with the delta that leads up to it.
 */

import type { FlagsOf, ImapSource } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { Flags } from "../mail/flags.ts";
import { sameFlags } from "../mail/flags.ts";
import { maxUid, type Uid, type UidValidity, uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import { createMessageTable, type MessageTable } from "./message-table.ts";

/** Committed changes of a mailbox. */
export type MailboxEvent =
  | { readonly kind: "arrived"; readonly uids: readonly Uid[] }
  | { readonly kind: "expunged"; readonly uids: readonly Uid[] }
  | { readonly kind: "flags"; readonly uids: readonly Uid[] }
  | { readonly kind: "gone"; readonly reason: string };

export interface MailboxState {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly logger: Logger;
  /** Lives as long as the account is open: for work that several askers share. */
  readonly signal: AbortSignal;
  readonly record: MailboxRecord;
  readonly table: MessageTable;
  /** The table is a whole listing of the legacy server, made since the account was opened or kept. */
  readonly listed: boolean;
  /** Sequence number of the first unseen message as the last EXAMINE told, while metadata are missing. */
  readonly firstUnseenHint: number | undefined;
  /** Why this mailbox is not migrated further, for `status`. */
  readonly problem: string | undefined;

  /** What SELECT said last: the user may not change this mailbox. */
  readonly readOnly: boolean;

  subscribe(listener: (event: MailboxEvent) => void): () => void;
  /**
   * One at a time: deltas and changes of the mailbox. Whoever waits here has his connection already, and
   * whoever is inside waits for no other. `waited` tells that others were inside since the call.
   */
  exclusive<T>(work: (waited: boolean) => Promise<T>): Promise<T>;
  noteReadOnly(readOnly: boolean): void;
  commitPermanentFlags(flags: readonly string[]): void;
  /** Local: what FLAGS tells. */
  commitFlagNames(flags: readonly string[]): void;
  commitListing(listing: CommittedListing): void;
  /** Metadata of messages that were `remote`; `asked` is the record when they were asked for. */
  commitMeta(asked: MailboxRecord, metas: readonly MessageMeta[]): void;
  commitFlags(changes: readonly FlagsOf[]): void;
  /** Messages that were filed, each with the metadata it was filed under. */
  commitFiles(asked: MailboxRecord, filed: readonly FiledMessage[]): void;
  /** Local: takes `count` UIDs for good; the first of them. */
  reserveUids(count: number): Uid;
  /** Local: messages that were added, ascending, above all others. */
  commitAdded(messages: readonly StoredMessage[]): void;
  /** Local: messages that were removed. */
  commitRemoved(uids: readonly Uid[]): void;
  /** The mailbox goes on under another name. */
  commitName(renamed: MailboxRecord): void;
  /** The message's file is gone or damaged: its bytes have to be fetched once more. */
  commitLost(uid: Uid): void;
  /** The legacy server has made a new mailbox of that name: everything known of the old one is dropped. */
  restart(uidValidity: UidValidity): Promise<void>;
  /** The mailbox is not on the legacy server any more. */
  announceGone(reason: string): void;
}

export interface FiledMessage {
  readonly meta: MessageMeta;
  readonly fileName: string;
}

export interface CommittedListing {
  readonly uids: readonly Uid[];
  readonly arrived: readonly Uid[];
  readonly vanished: readonly Uid[];
  readonly flagChanges: readonly FlagsOf[];
  readonly record: Partial<MailboxRecord>;
  readonly firstUnseenHint: number | undefined;
}

export interface MailboxStateOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly record: MailboxRecord;
  /** Mailferry has the last word: no listing is asked for, and every message is `full`. */
  readonly local?: boolean;
}

const isFull = ({ presence }: StoredMessage): boolean => presence === "full";

export async function openMailboxState(options: MailboxStateOptions): Promise<MailboxState> {
  const { store, source, logger, signal } = options;
  let record = options.record;
  const listedKey = `listed:${record.id}`;
  const problemKey = `problem:${record.id}`;
  const loaded = await store.loadMessages(record);
  if (options.local) {
    // A sidecar from a backup may be behind what clients were told.
    const above = Math.max(record.uidNext, (loaded.at(-1)?.uid ?? 0) + 1, await store.writtenUidNext(record));
    if (above > record.uidNext) {
      record = { ...record, uidNext: uid(Math.min(above, maxUid)) };
      store.saveMailbox(record);
    }
  }
  // A local message is its file: what a kill left of one that was being removed goes too.
  const remains = options.local ? loaded.filter(({ presence }) => presence !== "full") : [];
  if (remains.length > 0)
    await store.removeMessages(
      record,
      remains.map((message) => message.uid),
    );
  let table = createMessageTable(options.local ? loaded.filter(isFull) : loaded);
  /** index.db, which holds the mark, and sidecar.db, which holds the record, may be of different moments. */
  const wholeMark = (): string => `${record.uidValidity}:${record.uidNext}`;
  let keptMark = store.readMark(listedKey);
  let listed = options.local === true || keptMark === wholeMark();
  let firstUnseenHint: number | undefined;
  let problem = store.readSetting(problemKey);
  let readOnly = false;
  let inside = 0;
  let last: Promise<unknown> = Promise.resolve();
  const listeners = new Set<(event: MailboxEvent) => void>();
  /** Flags that a delta told of messages still `remote`: newer than what a running FETCH may bring. */
  const early = new Map<Uid, FlagsOf>();

  const emit = (event: MailboxEvent): void => {
    if ("uids" in event && event.uids.length === 0) return;
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        // It is done, whatever one of those who hear of it makes of that.
        logger.error({ err: error, mailbox: record.name, event: event.kind }, "a listener failed");
      }
    }
  };
  const save = (messages: readonly StoredMessage[]): void => {
    if (messages.length > 0) table.put(store.saveMessages(record, messages));
  };
  let removals = 0;
  /**
   * A listing is kept over a restart only once every message in it has its row in the index, and no other
   * message has.
   */
  const keepListing = (keep: boolean): void => {
    const mark = keep ? wholeMark() : "no";
    if (mark === keptMark) return;
    store.writeMark(listedKey, mark);
    keptMark = mark;
  };
  const keepIfWhole = (): void => {
    if (table.remoteCount === 0 && removals === 0) keepListing(true);
  };
  /** Takes what has left off the disk, where the next start or another server would find it again. */
  const removeVanished = async (uids: readonly Uid[]): Promise<void> => {
    removals++;
    try {
      await store.removeMessages(record, uids);
      removals--;
      keepIfWhole();
    } catch (error) {
      // They are found and removed again after the next opening, whose first delta misses them anew.
      logger.warn({ err: error, mailbox: record.name }, "files of expunged messages are still there");
    }
  };
  const saveRecord = (changes: Partial<MailboxRecord>): void => {
    const next: MailboxRecord = { ...record, ...changes };
    if (sameRecord(record, next)) return;
    store.saveMailbox(next);
    record = next;
  };
  const changedBy = (change: FlagsOf): StoredMessage | undefined => {
    const known = table.get(change.uid);
    if (!known || known.presence === "remote") return undefined;
    if (change.modSeq < known.modSeq) return undefined;
    if (sameFlags(known.flags, change.flags) && known.modSeq === change.modSeq) return undefined;
    return { ...known, flags: change.flags, modSeq: change.modSeq };
  };
  const saveFlags = (changes: readonly FlagsOf[]): readonly Uid[] => {
    const changed = changes.map(changedBy).filter((message) => message !== undefined);
    save(changed);
    return changed.map((message) => message.uid);
  };
  const noteEarly = (changes: readonly FlagsOf[]): void => {
    for (const change of changes)
      if (table.get(change.uid)?.presence === "remote") early.set(change.uid, change);
  };
  const commitFlags = (changes: readonly FlagsOf[]): void => {
    noteEarly(changes);
    emit({ kind: "flags", uids: saveFlags(changes) });
  };

  return {
    store,
    source,
    logger,
    signal,
    get record() {
      return record;
    },
    get table() {
      return table;
    },
    get listed() {
      return listed;
    },
    get firstUnseenHint() {
      return firstUnseenHint;
    },
    get problem() {
      return problem;
    },
    get readOnly() {
      return readOnly;
    },
    noteReadOnly(told) {
      readOnly = told;
    },
    commitPermanentFlags: (permanentFlags) => saveRecord({ permanentFlags }),
    commitFlagNames: (flags) => saveRecord({ flags }),
    exclusive(work) {
      const waited = inside > 0;
      inside++;
      const done = last.then(() => work(waited));
      last = done
        .catch(() => undefined)
        .finally(() => {
          inside--;
        });
      return done;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    commitListing(listing) {
      if (listing.arrived.length > 0 || listing.vanished.length > 0) keepListing(false);
      // Before HIGHESTMODSEQ, which says that they are known, and before anything that only a restart repairs.
      const flagged = saveFlags(listing.flagChanges);
      saveRecord(listing.record);
      table.setUids(listing.uids);
      noteEarly(listing.flagChanges);
      for (const gone of listing.vanished) early.delete(gone);
      listed = true;
      firstUnseenHint = listing.firstUnseenHint;
      emit({ kind: "expunged", uids: listing.vanished });
      emit({ kind: "arrived", uids: listing.arrived });
      emit({ kind: "flags", uids: flagged });
      if (listing.vanished.length > 0) void removeVanished(listing.vanished);
      keepIfWhole();
    },
    commitMeta(asked, metas) {
      if (asked.uidValidity !== record.uidValidity) return;
      const messages = metas
        .filter((meta) => table.get(meta.uid)?.presence === "remote")
        .map((meta): StoredMessage => {
          const { flags, modSeq } = newest(meta, early.get(meta.uid));
          early.delete(meta.uid);
          const fileName = store.fileOf(record, meta.uid);
          const known = { ...meta, flags, modSeq };
          return fileName === undefined
            ? { presence: "meta", ...known }
            : { presence: "full", fileName, ...known };
        });
      save(messages);
      keepIfWhole();
    },
    commitFlags,
    commitFiles(asked, filed) {
      if (asked.uidValidity !== record.uidValidity) return;
      const gone = filed.filter(({ meta }) => table.get(meta.uid) === undefined);
      if (gone.length > 0) {
        keepListing(false);
        void removeVanished(gone.map(({ meta }) => meta.uid));
      }
      const unchanged: StoredMessage[] = [];
      const changed: StoredMessage[] = [];
      for (const { meta, fileName } of filed) {
        const known = table.get(meta.uid);
        if (!known || known.presence === "remote") continue;
        const message = { ...known, presence: "full", fileName } as const;
        // Its rows were written before it was filed; only what changed since then is written again.
        (known === meta ? unchanged : changed).push(message);
      }
      table.put(unchanged);
      save(changed);
    },
    reserveUids(count) {
      const first = record.uidNext;
      saveRecord({ uidNext: uid(first + count) });
      return first;
    },
    commitAdded(messages) {
      const uids = messages.map((message) => message.uid);
      table.setUids(table.uids.concat(uids));
      table.put(messages);
      emit({ kind: "arrived", uids });
    },
    commitRemoved(uids) {
      const removed = new Set(uids);
      table.setUids(table.uids.filter((one) => !removed.has(one)));
      emit({ kind: "expunged", uids });
    },
    commitName(renamed) {
      record = renamed;
    },
    commitLost(lost) {
      const known = table.get(lost);
      if (known?.presence !== "full") return;
      const { fileName: _, ...meta } = known;
      table.put([{ ...meta, presence: "meta" }]);
    },
    async restart(uidValidity) {
      problem = `the legacy server changed UIDVALIDITY from ${record.uidValidity} to ${uidValidity}`;
      store.writeSetting(problemKey, problem);
      logger.warn({ mailbox: record.name, from: record.uidValidity, to: uidValidity }, "UIDVALIDITY changed");
      keepListing(false);
      emit({ kind: "gone", reason: "UIDVALIDITY of the mailbox has changed" });
      record = await store.resetMailbox(record.id, uidValidity);
      table = createMessageTable([]);
      early.clear();
      listed = false;
    },
    announceGone(reason) {
      emit({ kind: "gone", reason });
    },
  };
}

/** MODSEQ tells which flags are newer; without it, what the delta said is (it was asked later). */
function newest(
  meta: MessageMeta,
  change: FlagsOf | undefined,
): { flags: Flags; modSeq: MessageMeta["modSeq"] } {
  return change && change.modSeq >= meta.modSeq ? change : meta;
}

function sameRecord(a: MailboxRecord, b: MailboxRecord): boolean {
  return (
    a.uidValidity === b.uidValidity &&
    a.uidNext === b.uidNext &&
    a.highestModSeq === b.highestModSeq &&
    sameList(a.flags, b.flags) &&
    sameList(a.permanentFlags, b.permanentFlags) &&
    sameList(a.attributes, b.attributes) &&
    a.subscribed === b.subscribed &&
    a.separator === b.separator
  );
}

export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
