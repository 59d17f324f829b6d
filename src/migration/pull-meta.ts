/**
 * Metadata, headers and structures of messages that are not here: fetched in ranges, each range asked
 * for once however many want it, and kept.
 */
import type { MailboxLease } from "../legacy/source.ts";
import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { lowerBound, uidSetOf } from "../mail/number-set.ts";
import type { MailboxRecord, StoredMessage, StoredStructure } from "../store/store.ts";
import { breathe, createPipeline } from "../waiting.ts";
import { createGathering } from "./gathering.ts";
import { withMailbox } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";

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
  /** Resolves when what clients have asked for so far has come, or failed. */
  clientsServed(): Promise<void>;
  headers(uids: readonly Uid[]): Promise<void>;
  structures(uids: readonly Uid[]): Promise<void>;
}

export function createMetaPull(mailbox: MailboxState): MetaPull {
  const running = new Map<Uid, Promise<void>>();
  const leaseFor = (work: Parameters<typeof withMailbox<void>>[2]): Promise<void> =>
    withMailbox(mailbox, { priority: "interactive" }, work);

  /** Of big messages the server has much to read, and perhaps to send. */
  const leaseForLong = (uids: readonly Uid[], work: Parameters<typeof leaseFor>[0]): Promise<void> => {
    const sizes = uids.map((uid) => sizeOf(mailbox.table.get(uid)));
    const apart = sizes.reduce((sum, size) => sum + size, 0) > longBytes;
    return withMailbox(mailbox, { priority: "interactive", apart }, work);
  };

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
    await lease.fetchMeta(uidSetOf(uids), (meta) => metas.push(meta));
    for (const part of chunks(metas, metasAtOnce)) {
      mailbox.commitMeta(asked, part);
      if (metas.length > metasAtOnce) await breathe();
    }
  };

  const demand = async (uids: readonly Uid[]): Promise<void> => {
    const waits = new Set<Promise<void>>();
    const wanted = uids.filter((uid) => {
      const pending = running.get(uid);
      if (pending) waits.add(pending);
      return !pending && isRemote(uid);
    });
    if (wanted.length > 0) {
      const range = withReadAhead(mailbox.table.uids, wanted, (uid) => isRemote(uid) && !running.has(uid));
      waits.add(share(range, () => leaseFor((lease, record) => fetchRange(lease, record, range))));
    }
    await Promise.all(waits);
  };

  return {
    demand,
    async demandChanged(since) {
      const { table, record } = mailbox;
      const [from, to] = [table.uids[0], table.uids.at(-1)];
      if (from === undefined || to === undefined || table.remoteCount === 0) return;
      if (mailbox.countsModSeqs || record.highestModSeq === 0n) return demand(table.uids);
      if (since >= record.highestModSeq) return;
      await leaseFor(async (lease, asked) => {
        const metas: MessageMeta[] = [];
        await lease.fetchMeta([{ from, to }], (meta) => metas.push(meta), since);
        mailbox.commitMeta(asked, metas);
      });
    },
    async pullAll(lease, record, onRange) {
      // Two in flight: the server works on one while the other is committed here.
      const pipeline = createPipeline(2);
      const asked: Uid[] = [];
      const all = mailbox.table.uids;
      for (let end = all.length; end > 0; end -= backgroundRange) {
        const range = all
          .slice(Math.max(0, end - backgroundRange), end)
          .filter((uid) => isRemote(uid) && !running.has(uid));
        if (range.length === 0) continue;
        asked.push(...range);
        await pipeline.add(share(range, () => fetchRange(lease, record, range)).then(onRange));
      }
      await pipeline.drain();
      return asked;
    },
    async clientsServed() {
      await Promise.allSettled(new Set(running.values()));
    },
    async headers(uids) {
      const missing = mailbox.store.missingHeaders(mailbox.record, uids);
      if (missing.length === 0) return;
      await leaseForLong(missing, async (lease, record) => {
        for (const range of chunks(missing, headerRange)) {
          const headers = createGathering<Buffer>((held) => mailbox.store.saveHeaders(record, held));
          await lease.fetchHeaders(uidSetOf(range), (uid, header) => headers.add(uid, header, header.length));
          headers.save();
        }
      });
    },
    async structures(uids) {
      const missing = mailbox.store.missingStructures(mailbox.record, uids);
      if (missing.length === 0) return;
      await leaseForLong(missing, async (lease, record) => {
        for (const range of chunks(missing, headerRange)) {
          const structures = createGathering<StoredStructure>((held) =>
            mailbox.store.saveStructures(record, held),
          );
          await lease.fetchStructures(uidSetOf(range), (uid, structure) =>
            structures.add(uid, structure, structure.body.length + structure.bodyStructure.length),
          );
          structures.save();
        }
      });
    },
  };
}

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
