/**
 * The bytes of messages: for a client at once, for the background in batches. A message is asked for
 * once at a time: whoever wants it meanwhile shares the download, whether it runs for a client or, once
 * it is being spooled, for the background.
 */
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { contentOf, createDownload, type Download, notAnswered } from "./download.ts";
import { type Arrivals, createFiling } from "./filing.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { createPipeline, waitWith } from "./waiting.ts";

/** The background asks for ranges of about this size, two of them in flight. */
const rangeBytes = 4 << 20;
const rangeMessages = 500;

export interface BodyPull {
  /** The message's bytes, here or on their way; undefined when there is no such message. */
  content(uid: Uid, signal: AbortSignal): Promise<MessageContent | undefined>;
  /** Starts one download for all of `uids` that are neither here nor on their way, in order. */
  prefetch(uids: readonly Uid[]): void;
  /**
   * What is `meta`, newest first, on the caller's lease; stops early when `shouldYield` says so. `skip`
   * names messages that are given up for now. Tells what it asked for: not what others are bringing.
   */
  pullAll(lease: MailboxLease, skip: (uid: Uid) => boolean, shouldYield: () => boolean): Promise<Uid[]>;
  /** Resolves when the clients' downloads that are under way now have ended, well or not. */
  clientsServed(): Promise<void>;
}

export function createBodyPull(mailbox: MailboxState): BodyPull {
  const arrivals: Arrivals = { downloads: new Map(), receiving: new Set(), unfiled: new Map() };
  const { downloads, receiving, unfiled } = arrivals;
  const clientFetches = new Set<Promise<void>>();
  const isMissing = (uid: Uid): boolean => {
    const message = mailbox.table.get(uid);
    return message !== undefined && message.presence !== "full";
  };

  /** One lease: metadata where they are missing, and the bodies right behind them. */
  const fetchForClients = async (uids: readonly Uid[]): Promise<void> => {
    const options = { priority: "interactive", signal: mailbox.signal } as const;
    await mailbox.source.useMailbox(mailbox.record.name, options, async (lease) => {
      const pipeline = createPipeline(2);
      const metas: MessageMeta[] = [];
      const remote = uids.filter((uid) => mailbox.table.get(uid)?.presence === "remote");
      if (remote.length > 0)
        await pipeline.add(lease.fetchMeta(uidSetOf(remote), (meta) => metas.push(meta)));
      const filing = createFiling(mailbox, arrivals, () => {
        if (metas.length > 0) mailbox.commitMeta(metas.splice(0));
      });
      await pipeline.add(lease.fetchBodies(uidSetOf(uids), filing.sink).finally(() => filing.finish()));
      await pipeline.drain();
    });
  };

  /** What comes in on another connection is settled there; the rest ends with this fetch. */
  const start = async (wanted: readonly Download[]): Promise<void> => {
    const failure = await fetchForClients(wanted.map((download) => download.uid)).then(
      () => undefined,
      (error: unknown) => error,
    );
    for (const download of wanted) {
      const { uid } = download;
      if (receiving.has(uid) || downloads.get(uid) !== download) continue;
      downloads.delete(uid);
      const message = mailbox.table.get(uid);
      if (message?.presence === "full")
        download.settle(() => mailbox.store.openMessage(mailbox.record, message));
      else download.fail(failure ?? notAnswered(uid));
    }
  };

  const prefetch = (uids: readonly Uid[]): void => {
    const wanted = uids.filter((uid) => !downloads.has(uid) && isMissing(uid)).map(createDownload);
    for (const download of wanted) downloads.set(download.uid, download);
    const unasked = wanted.filter(({ uid }) => !receiving.has(uid));
    if (unasked.length === 0) return;
    const fetching: Promise<void> = start(unasked).finally(() => clientFetches.delete(fetching));
    clientFetches.add(fetching);
  };

  return {
    prefetch,
    async content(uid, signal) {
      const message = mailbox.table.get(uid);
      if (!message) return undefined;
      if (message.presence === "full") return mailbox.store.openMessage(mailbox.record, message);
      const received = unfiled.get(uid);
      if (received) return contentOf(received);
      prefetch([uid]);
      const open = await waitWith(downloads.get(uid)?.opened ?? Promise.resolve(undefined), signal);
      return open?.();
    },
    async pullAll(lease, skip, shouldYield) {
      const pipeline = createPipeline(2);
      const asked: Uid[] = [];
      const wanted = (uid: Uid): boolean =>
        mailbox.table.get(uid)?.presence === "meta" &&
        !downloads.has(uid) &&
        !receiving.has(uid) &&
        !skip(uid);
      for (const range of rangesNewestFirst(mailbox, wanted)) {
        if (shouldYield()) break;
        asked.push(...range);
        const filing = createFiling(mailbox, arrivals);
        await pipeline.add(lease.fetchBodies(uidSetOf(range), filing.sink).finally(() => filing.finish()));
      }
      await pipeline.drain();
      return asked;
    },
    async clientsServed() {
      await Promise.allSettled(clientFetches);
    },
  };
}

/** Ranges bounded by bytes and count, from the highest UID down; lazily, so that what came meanwhile is left out. */
function* rangesNewestFirst(mailbox: MailboxState, wanted: (uid: Uid) => boolean): Generator<Uid[]> {
  const all = mailbox.table.uids;
  let range: Uid[] = [];
  let bytes = 0;
  for (let index = all.length - 1; index >= 0; index--) {
    const uid = all[index];
    if (uid === undefined || !wanted(uid)) continue;
    const message = mailbox.table.get(uid);
    range.push(uid);
    bytes += message && message.presence !== "remote" ? message.sizeBytes : 0;
    if (bytes < rangeBytes && range.length < rangeMessages) continue;
    yield range.reverse();
    range = [];
    bytes = 0;
  }
  if (range.length > 0) yield range.reverse();
}
