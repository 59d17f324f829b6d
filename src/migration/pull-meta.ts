/**
 * Metadata, headers and structures of messages that are not here: fetched in ranges, each range asked
 * for once however many want it, and kept.
 */
import { unreadableIn } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { lowerBound, type UidSet, uidSetOf } from "../mail/number-set.ts";
import type { MailboxRecord, StoredMessage, StoredStructure } from "../store/store.ts";
import { breathe, createPipeline } from "../waiting.ts";
import { fetchAround } from "./fetch-around.ts";
import { createGathering } from "./gathering.ts";
import { type MailboxWork, withMailbox } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { fetchByPieces } from "./meta-by-pieces.ts";
import { expectReadable, mayBeItsFault, unreadableOf } from "./unreadable.ts";

/** Messages in one metadata FETCH: some 100 KB of answer, some 10 ms of index writing. */
const metaRange = 2_000;
/** The same for the background: what a client asks for meanwhile waits for two of them at the longest. */
const backgroundRange = 250;
/** Written at once: some milliseconds, in which nobody else is served. */
const metasAtOnce = 250;
/** Messages in one header or structure FETCH. */
const headerRange = 200;

export interface MetaPull {
  /**
   * Makes sure that none of `uids` is `remote`, and reads ahead up to one range: clients ask for whole
   * mailboxes in small pieces.
   */
  demand(uids: readonly Uid[]): Promise<void>;
  /** The same of all messages whose MODSEQ is above `since`, which the legacy server picks out where it can. */
  demandChanged(since: ModSeq): Promise<void>;
  /**
   * All that is `remote`, newest first, on a lease the caller has; `onRange` is called when a part of it
   * is known. Tells what it asked for: not what others are bringing.
   */
  pullAll(lease: MailboxLease, record: MailboxRecord, onRange: () => void): Promise<Uid[]>;
  /** What `pullAll` has left since a FETCH broke, and what is asked for by itself; on connections of its own. */
  mend(isWanted: (uid: Uid) => boolean): Promise<void>;
  /** Resolves when what clients have asked for so far has come, or failed. */
  clientsServed(): Promise<void>;
  headers(uids: readonly Uid[]): Promise<void>;
  structures(uids: readonly Uid[]): Promise<void>;
}

export function createMetaPull(mailbox: MailboxState): MetaPull {
  const running = new Map<Uid, Promise<void>>();
  const unreadable = unreadableOf(mailbox);
  /** The background has asked for them, and not all was told. */
  const unanswered = new Set<Uid>();

  /** Of big messages the server has much to read, and perhaps to send. */
  const isLong = (uids: readonly Uid[]): boolean =>
    uids.reduce((sum, uid) => sum + sizeOf(mailbox.table.get(uid)), 0) > longBytes;

  /** Registers `work` as bringing `uids`, so that others wait for it in place of asking again. */
  const share = (uids: readonly Uid[], work: () => Promise<void>): Promise<void> => {
    const done = work().finally(() => {
      for (const uid of uids) if (running.get(uid) === done) running.delete(uid);
    });
    for (const uid of uids) running.set(uid, done);
    return done;
  };
  const isRemote = (uid: Uid): boolean => mailbox.table.get(uid)?.presence === "remote";
  const fetchRange = async (
    lease: MailboxLease,
    asked: MailboxRecord,
    uids: readonly Uid[],
  ): Promise<void> => {
    const metas: MessageMeta[] = [];
    try {
      await lease.fetchMeta(uidSetOf(uids), (meta) => metas.push(meta));
    } finally {
      // What came before it broke is good.
      for (const part of chunks(metas, metasAtOnce)) {
        mailbox.commitMeta(asked, part);
        if (metas.length > metasAtOnce) await breathe();
      }
    }
  };
  /** All that can be had of them, on connections of its own. */
  const bring = async (uids: readonly Uid[], work: MailboxWork, isBroken = false): Promise<void> => {
    const wasBroken = new Set(uids.filter((uid) => unreadable.failureOf(uid, "metadata")));
    const isHere = (uid: Uid): boolean => !isRemote(uid);
    await fetchAround(mailbox, { asked: "metadata", uids, isBroken, work, fetch: fetchRange, isHere });
    if (mailbox.table.remoteCount === 0) return;
    const left = uids.filter((uid) => isRemote(uid) && !wasBroken.has(uid));
    const failed = (uid: Uid): boolean => unreadable.failureOf(uid, "metadata") !== undefined;
    const incomplete = left.filter((uid) => !failed(uid));
    await fetchByPieces(mailbox, work, { incomplete, broken: left.filter(failed) });
  };

  const demand = async (uids: readonly Uid[]): Promise<void> => {
    const others = new Set<Promise<void>>();
    const wanted = uids.filter((uid) => {
      const pending = running.get(uid);
      if (pending) others.add(pending);
      return !pending && isRemote(uid);
    });
    if (wanted.length > 0) {
      const range = withReadAhead(mailbox.table.uids, wanted, (uid) => isRemote(uid) && !running.has(uid));
      await share(range, () => bring(range, interactive));
    }
    if (others.size > 0) {
      await Promise.allSettled(others);
      // What others were bringing may have broken on a message that is not among these.
      const left = uids.filter(isRemote);
      if (left.length > 0) await share(left, () => bring(left, interactive));
    }
    if (mailbox.table.remoteCount > 0) expectReadable(mailbox, "metadata", uids.filter(isRemote));
  };
  const saveFetched = async <T>(
    missing: readonly Uid[],
    asked: "header" | "structure",
    fetch: (
      lease: MailboxLease,
      uids: readonly Uid[],
      add: (uid: Uid, value: T, size: number) => void,
    ) => Promise<void>,
    save: (record: MailboxRecord, held: ReadonlyMap<Uid, T>) => void,
  ): Promise<void> => {
    const got = new Set<Uid>();
    for (const uids of chunks(missing, headerRange))
      await fetchAround(mailbox, {
        asked,
        uids,
        work: { ...interactive, apart: isLong(uids) },
        isHere: (uid) => got.has(uid),
        async fetch(lease, record, some) {
          const gathering = createGathering<T>((held) => save(record, held));
          const add = (uid: Uid, value: T, size: number): void => {
            got.add(uid);
            gathering.add(uid, value, size);
          };
          await fetch(lease, some, add).finally(() => gathering.save());
        },
      });
    expectReadable(mailbox, asked, missing);
  };

  /** False where one of them may be such that its metadata cannot be had. */
  const takeChanged = async (within: UidSet, since: ModSeq): Promise<boolean> => {
    let failure: unknown;
    try {
      await withMailbox(mailbox, interactive, async (lease, asked) => {
        const metas: MessageMeta[] = [];
        failure = undefined;
        await lease
          .fetchMeta(within, (meta) => metas.push(meta), since)
          .catch((error: unknown) => {
            failure = error;
            throw error;
          });
        mailbox.commitMeta(asked, metas);
      });
      return true;
    } catch (error) {
      if (error !== failure || !mayBeItsFault(error)) throw error;
      return false;
    }
  };

  return {
    demand,
    async demandChanged(since) {
      const { table, record } = mailbox;
      const [from, to] = [table.uids[0], table.uids.at(-1)];
      if (from === undefined || to === undefined || table.remoteCount === 0) return;
      if (mailbox.countsModSeqs || record.highestModSeq === 0n) return demand(table.uids);
      if (since >= record.highestModSeq) return;
      if (unreadable.suspects("metadata").length === 0 && (await takeChanged([{ from, to }], since))) return;
      const changed: Uid[] = [];
      await withMailbox(mailbox, interactive, (lease) =>
        lease.fetchFlags([{ from, to }], ({ uid }) => changed.push(uid), since),
      );
      await unreadableIn(demand(changed.filter(isRemote).sort((a, b) => a - b)));
    },
    async pullAll(lease, record, onRange) {
      // Two in flight: the server works on one while the other is committed here.
      const pipeline = createPipeline(2);
      const asked: Uid[] = [];
      const all = mailbox.table.uids;
      for (let end = all.length; end > 0; end -= backgroundRange) {
        const range = all
          .slice(Math.max(0, end - backgroundRange), end)
          .filter((uid) => isRemote(uid) && !running.has(uid) && !unreadable.isSuspect(uid, "metadata"));
        if (range.length === 0) continue;
        asked.push(...range);
        const fetched = fetchRange(lease, record, range).catch((error: unknown) => {
          if (mayBeItsFault(error)) unreadable.noteBroken(lease, "metadata", range.filter(isRemote));
          throw error;
        });
        await pipeline.add(
          share(range, () => fetched).then(() => {
            for (const uid of range.filter(isRemote)) unanswered.add(uid);
            onRange();
          }),
        );
      }
      await pipeline.drain();
      return asked;
    },
    async mend(isWanted) {
      const broken = unreadable.takeBroken("metadata");
      const left = new Set([...unanswered, ...broken]);
      for (const uid of unreadable.suspects("metadata")) left.add(uid);
      unanswered.clear();
      const isAsked = (uid: Uid): boolean => isRemote(uid) && isWanted(uid) && !running.has(uid);
      const uids = [...left].filter(isAsked).sort((a, b) => a - b);
      if (uids.length > 0) await share(uids, () => bring(uids, background, broken.length > 0));
    },
    async clientsServed() {
      await Promise.allSettled(new Set(running.values()));
    },
    async headers(uids) {
      const { store } = mailbox;
      const missing = store.missingHeaders(mailbox.record, uids);
      await saveFetched<Buffer>(
        missing,
        "header",
        (lease, some, add) =>
          lease.fetchHeaders(uidSetOf(some), (uid, header) => add(uid, header, header.length)),
        (record, held) => store.saveHeaders(record, held),
      );
    },
    async structures(uids) {
      const { store } = mailbox;
      const missing = store.missingStructures(mailbox.record, uids);
      await saveFetched<StoredStructure>(
        missing,
        "structure",
        (lease, some, add) =>
          lease.fetchStructures(uidSetOf(some), (uid, structure) =>
            add(uid, structure, structure.body.length + structure.bodyStructure.length),
          ),
        (record, held) => store.saveStructures(record, held),
      );
    },
  };
}

const interactive = { priority: "interactive" } as const;
const background = { priority: "background", apart: true } as const;

/** What takes longer would hold up all who share the mailbox's connection. */
const longBytes = 4 << 20;

function sizeOf(message: StoredMessage | undefined): number {
  return message && message.presence !== "remote" ? message.sizeBytes : 0;
}

/** `wanted` and, from its last UID on, as many of `all` that qualify as fill one range. */
function withReadAhead(all: readonly Uid[], wanted: readonly Uid[], qualifies: (uid: Uid) => boolean): Uid[] {
  const range = [...wanted];
  const last = range.at(-1);
  if (last === undefined) return range;
  for (let index = lowerBound(all, last + 1); index < all.length && range.length < metaRange; index++) {
    const next = all[index];
    if (next !== undefined && qualifies(next)) range.push(next);
  }
  return range;
}

export function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
