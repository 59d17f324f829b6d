/** The state of one mailbox, opened and kept: the only one who writes it (see mailbox-state.ts). */
import type { Examined, FlagsOf } from "../legacy/source.ts";
import { type ModSeq, type Uid, type UidValidity, uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import type { MailboxRecord, StoredMessage } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { type ArrivedMetas, arrivedMetas } from "./arrived-metas.ts";
import { createDeletionBrake } from "./deletion-brake.ts";
import { createEarlyFlags } from "./early-flags.ts";
import { createFileRemovals } from "./file-removals.ts";
import { changedBy, isNews } from "./flags-told.ts";
import { isGivenBack } from "./given-back.ts";
import { openListingMark } from "./listing-mark.ts";
import { emptied, loadMailbox } from "./load-mailbox.ts";
import { firstOwnUid, localPermanentFlags, uidNextAtCutover } from "./local-mailbox.ts";
import { isAllHere } from "./losses.ts";
import { setLostAside, showOther } from "./lost-messages.ts";
import { createMailboxListeners } from "./mailbox-listeners.ts";
import type { MailboxState, MailboxStateOptions } from "./mailbox-state.ts";
import { createMessageTable } from "./message-table.ts";
import { followedUpTo, highestCounted, next } from "./mod-seqs.ts";
import { sameRecord } from "./same-record.ts";
import { createSharedTurns } from "./shared-turns.ts";
import { createUnwritten } from "./unwritten.ts";

export async function openMailboxState(options: MailboxStateOptions): Promise<MailboxState> {
  const { store, logger } = options;
  let { signal, source, onRemoving, local: isLocal = false } = options;
  const transientKey = `transient:${options.record.id}`;
  let isTransient = store.readSetting(transientKey) === "yes";
  const loaded = await loadMailbox(isTransient ? { ...options, record: await emptied(options) } : options);
  const { modSeqs } = loaded;
  let { record } = loaded;
  let atCutover: number | undefined;
  const beLocal = (): void => {
    atCutover = uidNextAtCutover(store, record);
    if (record.permanentFlags.length === 0) saveRecord({ permanentFlags: localPermanentFlags });
  };
  const problemKey = `problem:${record.id}`;
  /** Only once it is written down with what has it: a number that was told is given to nothing else. */
  const raise = (highestModSeq: ModSeq): void => {
    if (highestModSeq > record.highestModSeq) record = { ...record, highestModSeq };
  };
  let table = createMessageTable(loaded.messages);
  const keepListing = openListingMark(store, () => record);
  let listed = isLocal || keepListing.isKept;
  let firstUnseenHint: number | undefined;
  let problem = store.readSetting(problemKey) || undefined;
  let [readOnly, isGone] = [false, false];
  const brake = createDeletionBrake(store, record.id);
  let followed: Examined | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  const { exclusive, shared } = createSharedTurns();
  /** Of messages still `remote`. */
  const early = createEarlyFlags();
  const { emit, subscribe } = createMailboxListeners((error, event) =>
    logger.error({ err: error, mailbox: record.name, event: event.kind }, "a listener failed"),
  );
  const save = (messages: readonly StoredMessage[]): void => {
    if (messages.length > 0) table.put(store.saveMessages(record, messages));
  };
  const removals = createFileRemovals((error) =>
    logger.warn({ err: error, mailbox: record.name }, "files of expunged messages are still there"),
  );
  const unwritten = createUnwritten();
  /** What the legacy server tells again is served all the same where the disk refuses it. */
  const saveOrServe = (messages: readonly StoredMessage[]): void => {
    try {
      save(messages);
    } catch (error) {
      if (!(error instanceof StoreTrouble) || isLocal) throw error;
      logger.error({ err: error, mailbox: record.name }, "served without being stored");
      unwritten.note(messages, record);
      table.put(messages);
    }
  };
  const writeUnwritten = (): void =>
    unwritten.retry((uids) => {
      save(uids.flatMap((one) => table.get(one) ?? []));
      store.saveMailbox(record);
    });
  const keepIfWhole = (): void => {
    if (table.remoteCount === 0 && removals.count === 0 && unwritten.isEmpty) keepListing.write(true);
  };
  /** Takes what has left off the disk, where the next start or another server would find it again. */
  const removeVanished = async (uids: readonly Uid[]): Promise<void> => {
    if (await removals.start(() => store.removeMessages(record, uids))) keepIfWhole();
  };
  const saveRecord = (changes: Partial<MailboxRecord>): void => {
    const next: MailboxRecord = { ...record, ...changes };
    if (sameRecord(record, next)) return;
    store.saveMailbox(unwritten.writable(next));
    record = next;
  };
  const saveFlags = (changes: readonly FlagsOf[], anew = false): readonly Uid[] => {
    const changed = changes
      .map((change) => changedBy(table.get(change.uid), change, { isCounted: modSeqs.counted, anew }))
      .filter((message) => message !== undefined);
    const news = changed.filter((message) => isNews(table.get(message.uid), message));
    if (modSeqs.counted && changed.length > 0) {
      const counted = next(record.highestModSeq);
      saveOrServe(changed.map((message) => ({ ...message, modSeq: counted })));
      raise(counted);
    } else saveOrServe(changed);
    return news.map((message) => message.uid);
  };
  /** Those that were `remote`. */
  const saveMetas = (metas: readonly MessageMeta[]): ArrivedMetas => {
    const fileOf = (one: Uid): string | undefined => store.fileOf(record, one);
    const { highestModSeq } = record;
    const arrived = arrivedMetas(metas, { table, early, fileOf, isCounted: modSeqs.counted, highestModSeq });
    saveOrServe(arrived.messages);
    raise(arrived.highestModSeq);
    return arrived;
  };

  /** Nothing that is known is true any more. */
  const beginAnew = async (uidValidity: UidValidity): Promise<void> => {
    keepListing.write(false);
    followed = undefined;
    emit({ kind: "gone", reason: "UIDVALIDITY of the mailbox has changed" });
    modSeqs.restart(record.highestModSeq);
    record = await store.resetMailbox(record.id, uidValidity);
    brake.reset();
    table = createMessageTable([]);
    early.clear();
    unwritten.clear();
    listed = false;
  };

  /** Above all others, and nothing has been there in between. */
  const addArrived = (metas: readonly MessageMeta[]): void => {
    const uids = metas.map((meta) => meta.uid);
    keepListing.write(false);
    brake.noteArrived(uids);
    const uidNext = uid((uids.at(-1) ?? 0) + 1);
    const counted = modSeqs.counted ? next(record.highestModSeq) : record.highestModSeq;
    if (!modSeqs.counted) modSeqs.logUnseen(record.uidNext, uidNext, uids, record.highestModSeq);
    saveRecord({ uidNext, highestModSeq: counted });
    table.append(uids);
    saveMetas(metas);
    emit({ kind: "arrived", uids });
    keepIfWhole();
  };

  const saveOrServeRecord = (changes: Partial<MailboxRecord>): void => {
    try {
      saveRecord(changes);
    } catch (error) {
      if (!(error instanceof StoreTrouble) || isLocal) throw error;
      unwritten.note([], record);
      record = { ...record, ...changes };
    }
  };

  const countModSeqs = (uidValidity: UidValidity): void => {
    if (modSeqs.counted) return;
    modSeqs.count(uidValidity);
    // Messages may be newer than the last delta.
    record = { ...record, highestModSeq: highestCounted(store, record, table.all()) };
  };

  if (isLocal) beLocal();
  return {
    store,
    get source() {
      return source;
    },
    logger,
    get signal() {
      return signal;
    },
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
    get isTransient() {
      return isTransient;
    },
    brake,
    isSelected: false,
    early,
    get readOnly() {
      return readOnly;
    },
    get isGone() {
      return isGone;
    },
    get countsModSeqs() {
      return modSeqs.counted;
    },
    countModSeqs,
    nextModSeq: () => next(record.highestModSeq),
    logExpunged(uids, cause) {
      if (cause === "wanted") onRemoving?.(record, uids);
      const at = next(record.highestModSeq);
      modSeqs.logExpunged(uids, at);
      raise(at);
    },
    noteReadOnly(told) {
      readOnly = told;
    },
    commitPermanentFlags: (permanentFlags) => saveOrServeRecord({ permanentFlags }),
    commitFlagNames: (flags) => saveOrServeRecord({ flags }),
    exclusive,
    shared,
    get followed() {
      return followed;
    },
    follow(selection) {
      followed = selection;
    },
    get askedAt() {
      return askedAt;
    },
    noteAsked(at) {
      askedAt = at;
    },
    subscribe,
    writeUnwritten,
    commitListing(listing) {
      writeUnwritten();
      const isOther = listing.arrived.length > 0 || listing.vanished.length > 0;
      if (isOther) keepListing.write(false);
      // Before HIGHESTMODSEQ, which says that they are known, and before anything that only a restart repairs.
      const told = listing.record.highestModSeq ?? noModSeq;
      const anew = !modSeqs.counted && told > 0n && told < record.highestModSeq;
      if (anew) early.forgetModSeqs();
      const flagged = saveFlags(listing.flagChanges, anew);
      const met = saveMetas(listing.metas).messages.map((meta) => meta.uid);
      const counted = isOther ? next(record.highestModSeq) : record.highestModSeq;
      const highestModSeq = modSeqs.counted ? counted : told;
      modSeqs.logExpunged(listing.vanished, highestModSeq);
      // Clients may know them from the legacy server itself.
      const uidNext = listing.record.uidNext ?? record.uidNext;
      if (!modSeqs.counted) modSeqs.logUnseen(record.uidNext, uidNext, listing.uids, highestModSeq);
      saveRecord({ ...listing.record, highestModSeq });
      modSeqs.startLog(highestModSeq);
      table.setUids(listing.uids, listing.vanished);
      early.drop(listing.vanished);
      const changedEarly = early.noteChanges(table, listing.flagChanges);
      listed = true;
      firstUnseenHint = listing.firstUnseenHint;
      emit({ kind: "expunged", uids: listing.vanished });
      emit({ kind: "arrived", uids: listing.arrived });
      emit({ kind: "flags", uids: flagged.concat(met, changedEarly) });
      if (listing.vanished.length > 0) void removeVanished(listing.vanished);
      keepIfWhole();
    },
    commitMeta(asked, metas) {
      if (asked.uidValidity !== record.uidValidity) return;
      const { messages, changed } = saveMetas(metas);
      keepIfWhole();
      // The next delta finds them known: nobody would hear of it.
      const isAhead = (at: ModSeq): boolean => at > record.highestModSeq && record.highestModSeq > 0n;
      const news = messages.filter(({ uid, modSeq }) => changed.has(uid) || isAhead(modSeq));
      emit({ kind: "flags", uids: news.map((meta) => meta.uid) });
    },
    commitEarlyFlags(asked, fetched) {
      if (asked.uidValidity !== record.uidValidity) return;
      emit({ kind: "flags", uids: early.noteFetched(table, fetched) });
    },
    commitFlags(changes) {
      const changedEarly = early.noteChanges(table, changes);
      emit({ kind: "flags", uids: saveFlags(changes).concat(changedEarly) });
    },
    commitTold(flags, arrived) {
      writeUnwritten();
      const told = [...flags, ...arrived].map(({ modSeq }) => modSeq);
      const highest = modSeqs.counted ? record.highestModSeq : followedUpTo(record.highestModSeq, told);
      if (highest === undefined) return false;
      const changedEarly = early.noteChanges(table, flags);
      const flagged = saveFlags(flags);
      if (arrived.length > 0) addArrived(arrived);
      if (!modSeqs.counted) saveOrServeRecord({ highestModSeq: highest });
      emit({ kind: "flags", uids: flagged.concat(changedEarly) });
      return true;
    },
    commitFiles(asked, filed) {
      if (asked.uidValidity !== record.uidValidity) return;
      const gone = filed.filter(({ meta }) => table.get(meta.uid) === undefined);
      if (gone.length > 0) {
        keepListing.write(false);
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
      const first = firstOwnUid(record.uidNext, atCutover, count);
      saveRecord({ uidNext: uid(first + count) });
      return first;
    },
    commitAdded(messages) {
      const uids = messages.map((message) => message.uid);
      table.append(uids);
      table.put(messages);
      for (const message of messages) if (message.presence !== "remote") raise(message.modSeq);
      emit({ kind: "arrived", uids });
    },
    commitRemoved(uids) {
      table.remove(uids);
      emit({ kind: "expunged", uids });
    },
    commitName(renamed) {
      // What is counted here is ahead of what was written.
      record = { ...renamed, highestModSeq: record.highestModSeq };
    },
    commitLost(lost) {
      const known = table.get(lost);
      if (known?.presence !== "full") return;
      const { fileName: _, ...meta } = known;
      table.put([{ ...meta, presence: "meta" }]);
    },
    commitForgotten: (uids) => table.put(uids.map((one) => ({ presence: "remote", uid: one }))),
    async restart(uidValidity) {
      logger.warn({ mailbox: record.name, from: record.uidValidity, to: uidValidity }, "UIDVALIDITY changed");
      if (isTransient) {
        isTransient = false;
        store.writeSetting(transientKey, "");
      } else if (isGivenBack(store, record.id, uidValidity)) {
        logger.info({ mailbox: record.name }, "it was given back, and has another UIDVALIDITY there");
      } else if (table.uids.length > 0) {
        // Of an empty mailbox nothing has become another message.
        problem = `the legacy server changed UIDVALIDITY from ${record.uidValidity} to ${uidValidity} (deletions --help)`;
        store.writeSetting(problemKey, problem);
      }
      await beginAnew(uidValidity);
    },
    async showAnew(lost) {
      problem = setLostAside({ store, logger, record, table, problemKey }, lost);
      await beginAnew(showOther(store, record));
    },
    async serveUnkept() {
      logger.warn({ mailbox: record.name }, "the legacy server tells no UIDVALIDITY above 0");
      isTransient = true;
      store.writeSetting(transientKey, "yes");
      const uidValidity = store.nextUidValidity();
      if (record.uidValidity === undefined) saveRecord({ uidValidity });
      else await beginAnew(uidValidity);
      return uidValidity;
    },
    forgetProblem() {
      store.writeSetting(problemKey, "");
      problem = undefined;
    },
    get isSettled() {
      const isKept = listed && unwritten.isEmpty && removals.count === 0;
      const isBelieved = problem === undefined && !isTransient && brake.held.length === 0;
      return isKept && isBelieved && record.uidValidity !== undefined && isAllHere({ store, record, table });
    },
    removed: () => removals.ended(),
    get isLocal() {
      return isLocal;
    },
    becomeLocal() {
      const { uidValidity } = record;
      if (uidValidity === undefined) throw new Error("a mailbox that was never listed cannot become local");
      countModSeqs(uidValidity);
      modSeqs.startLog(record.highestModSeq);
      brake.reset();
      [isLocal, listed, readOnly, followed] = [true, true, false, undefined];
      beLocal();
    },
    becomeMirrored(next) {
      keepListing.write(false);
      modSeqs.leaveLocal(next);
      [isLocal, listed, atCutover, followed] = [false, false, undefined, undefined];
    },
    adopt(next) {
      ({ signal, source, onRemoving } = next);
    },
    announceGone(reason, isForGood = true) {
      isGone ||= isForGood;
      emit({ kind: "gone", reason });
    },
  };
}
