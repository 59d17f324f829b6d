/**
 * The bytes of messages: for a client at once, for the background in batches. A message is asked for
 * once at a time: whoever wants it meanwhile shares the download, whether it runs for a client or, once
 * it is being spooled, for the background.
 */

import { isUnavailable, MailError, Unreadable } from "../errors.ts";
import { ServerFault } from "../legacy/server-fault.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import { contentOf } from "../mail/message-content.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { MailboxRecord, StoredMessage } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { createPipeline, waitWith } from "../waiting.ts";
import { Contradiction } from "./contradiction.ts";
import { createDownload, type Download, notAnswered } from "./download.ts";
import { type FetchAround, fetchAround } from "./fetch-around.ts";
import { type Arrivals, createFiling } from "./filing.ts";
import { takeTold } from "./follow-mailbox.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { SameContent } from "./same-content.ts";
import { mayBeItsFault, unreadableOf } from "./unreadable.ts";

/** The background asks for ranges of about this size, two of them in flight. */
const rangeBytes = 4 << 20;
const rangeMessages = 500;

export interface BodyPull {
  /** The message's bytes, here or on their way; undefined when there is no such message. */
  content(uid: Uid, signal: AbortSignal): Promise<MessageContent | undefined>;
  /** Starts one download for all of `uids` that are neither here nor on their way, in order. */
  prefetch(uids: readonly Uid[]): void;
  /**
   * What is `meta`, newest first, on the caller's lease; stops early, but not before the first range, when
   * `shouldYield` says so. `skip` names messages that are given up for now. Tells what it asked for: not
   * what others are bringing.
   */
  pullAll(
    lease: MailboxLease,
    record: MailboxRecord,
    skip: (uid: Uid) => boolean,
    shouldYield: () => boolean,
  ): Promise<Uid[]>;
  /** What `pullAll` has left since a FETCH broke, and what is asked for by itself; on connections of its own. */
  mend(isWanted: (uid: Uid) => boolean): Promise<void>;
  /** Resolves when the clients' downloads that are under way now have ended, well or not. */
  clientsServed(): Promise<void>;
}

export function createBodyPull(mailbox: MailboxState, sameContent: SameContent): BodyPull {
  const arrivals: Arrivals = { downloads: new Map(), receiving: new Set(), unfiled: new Map() };
  const { downloads, receiving, unfiled } = arrivals;
  const clientFetches = new Set<Promise<void>>();
  const unreadable = unreadableOf(mailbox);
  const isMissing = (uid: Uid): boolean => {
    const message = mailbox.table.get(uid);
    return message !== undefined && message.presence !== "full";
  };

  const isHere = (uid: Uid): boolean => !isMissing(uid) || receiving.has(uid);
  const fetchForClients = async (wanted: readonly Uid[]): Promise<void> => {
    await sameContent.take(mailbox.record, wanted).catch((error: unknown) => {
      if (!(error instanceof StoreTrouble)) throw error;
      mailbox.logger.error({ err: error, mailbox: mailbox.record.name }, "messages could not be linked");
    });
    const uids = wanted.filter(isMissing);
    if (uids.length === 0) return;
    const apart = uids.some((uid) => isLong(mailbox.table.get(uid)));
    const work = { priority: "interactive", apart } as const;
    await fetchAround(mailbox, { asked: "content", uids, work, isHere, fetch: fetchWithMeta });
  };
  /** Metadata where they are missing, and the bodies right behind them. */
  const fetchWithMeta: FetchAround["fetch"] = async (lease, record, uids) => {
    const pipeline = createPipeline(2);
    const metas: MessageMeta[] = [];
    const remote = uids.filter(
      (uid) => mailbox.table.get(uid)?.presence === "remote" && !unreadable.isSuspect(uid, "metadata"),
    );
    if (remote.length > 0) await pipeline.add(lease.fetchMeta(uidSetOf(remote), (meta) => metas.push(meta)));
    const beforeEach = (): void => {
      if (metas.length > 0) mailbox.commitMeta(record, metas.splice(0));
    };
    const filing = createFiling({ mailbox, record, arrivals, beforeEach, isForClients: true });
    try {
      await pipeline.add(lease.fetchBodies(uidSetOf(uids), filing.sink).finally(() => filing.finish()));
      await pipeline.drain();
    } finally {
      beforeEach();
    }
  };
  const fetchRange = async (
    lease: MailboxLease,
    record: MailboxRecord,
    missing: readonly Uid[],
  ): Promise<readonly Uid[]> => {
    await sameContent.take(record, missing);
    const { uids: range, release } = sameContent.claim(missing.filter(isMissing));
    const filing = createFiling({ mailbox, record, arrivals, onStillWanted: startAgain });
    try {
      if (range.length > 0)
        await lease.fetchBodies(uidSetOf(range), filing.sink).finally(() => filing.finish());
      return range;
    } catch (error) {
      if (mayBeItsFault(error))
        unreadable.noteBroken(
          lease,
          "content",
          range.filter((uid) => !isHere(uid)),
        );
      throw error;
    } finally {
      release();
    }
  };

  const failureOf = (uid: Uid): Unreadable | undefined => {
    const known = unreadable.failureOf(uid, "content");
    if (!known) return undefined;
    // Clients take a NO for an empty message, but what the old server answers they would see there, too.
    const told =
      known instanceof ServerFault ? known : new MailError("SERVERBUG", known.message, known.cause);
    return new Unreadable(new Set([uid]), told);
  };
  /** What comes in on another connection is settled there; the rest ends with this fetch. */
  const start = async (wanted: readonly Download[], isLast = false): Promise<void> => {
    const again: Download[] = [];
    const failure = await fetchForClients(wanted.map((download) => download.uid)).then(
      () => undefined,
      (error: unknown) => error,
    );
    for (const download of wanted) {
      const { uid } = download;
      if (receiving.has(uid) || downloads.get(uid) !== download) continue;
      const message = mailbox.table.get(uid);
      const contradicted = unreadable.failureOf(uid, "content");
      // It was let pass by here while it came in elsewhere, and was cut off there.
      const isLetPass = message && message.presence !== "full" && failure === undefined && !contradicted;
      if (isLetPass && !isLast) {
        again.push(download);
        continue;
      }
      downloads.delete(uid);
      if (message?.presence === "full")
        download.settle(() => mailbox.store.openMessage(mailbox.record, message));
      else {
        const shown = contradicted instanceof Contradiction ? contradicted.shown : undefined;
        if (shown) download.settle(() => shown);
        else download.fail(failureOf(uid) ?? failure ?? notAnswered(uid));
      }
    }
    if (again.length === 0) return;
    // Or others have removed it, and it was not told in its place.
    await takeTold(mailbox).catch((error: unknown) => {
      mailbox.logger.debug(
        { err: error, mailbox: mailbox.record.name },
        "no news of messages that did not come",
      );
    });
    await start(again, true);
  };
  const startForClients = (wanted: readonly Download[]): void => {
    const fetching: Promise<void> = start(wanted).finally(() => clientFetches.delete(fetching));
    clientFetches.add(fetching);
  };
  const startAgain = (download: Download): void => startForClients([download]);

  const prefetch = (uids: readonly Uid[]): void => {
    const wanted = uids.filter((uid) => !downloads.has(uid) && isMissing(uid)).map(createDownload);
    for (const download of wanted) downloads.set(download.uid, download);
    const unasked = wanted.filter(({ uid }) => !receiving.has(uid));
    if (unasked.length > 0) startForClients(unasked);
  };

  /** undefined where its file is gone or damaged, and it is fetched once more. */
  const openHere = (message: StoredMessage & { presence: "full" }): MessageContent | undefined => {
    try {
      return mailbox.store.openMessage(mailbox.record, message);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      const { logger, record } = mailbox;
      logger.warn(
        { err: error, mailbox: record.name, uid: message.uid },
        "a message's file is fetched again",
      );
      mailbox.commitLost(message.uid);
      return undefined;
    }
  };

  return {
    prefetch,
    async content(uid, signal) {
      const message = mailbox.table.get(uid);
      if (!message) return undefined;
      const here = message.presence === "full" ? openHere(message) : undefined;
      if (here) return here;
      const received = unfiled.get(uid);
      if (received) return contentOf(received);
      prefetch([uid]);
      const open = await waitWith(downloads.get(uid)?.opened ?? Promise.resolve(undefined), signal);
      return open?.();
    },
    async pullAll(lease, record, skip, shouldYield) {
      const pipeline = createPipeline(2);
      const asked: Uid[] = [];
      let isBegun = false;
      const wanted = (uid: Uid): boolean =>
        mailbox.table.get(uid)?.presence === "meta" &&
        !downloads.has(uid) &&
        !receiving.has(uid) &&
        !unreadable.isSuspect(uid, "content") &&
        !skip(uid);
      const pullRange = async (missing: readonly Uid[]): Promise<void> => {
        for (const uid of await fetchRange(lease, record, missing)) asked.push(uid);
      };
      for (const range of rangesNewestFirst(mailbox, wanted)) {
        if (isBegun && shouldYield()) break;
        isBegun = true;
        await pipeline.add(pullRange(range));
      }
      await pipeline.drain();
      return asked;
    },
    async mend(isWanted) {
      const broken = unreadable.takeBroken("content");
      const left = new Set([...broken, ...unreadable.suspects("content")]);
      const uids = [...left]
        .filter((uid) => !isHere(uid) && !downloads.has(uid) && isWanted(uid))
        .filter((uid) => mailbox.table.get(uid)?.presence === "meta")
        .sort((a, b) => a - b);
      if (uids.length === 0) return;
      const work = { priority: "background", apart: true } as const;
      await fetchAround(mailbox, {
        asked: "content",
        uids,
        isBroken: broken.length > 0,
        work,
        isHere,
        fetch: async (...range) => void (await fetchRange(...range)),
      });
    },
    async clientsServed() {
      await Promise.allSettled(clientFetches);
    },
  };
}

/** It would hold up the others who share the mailbox's connection. */
const longBytes = 1 << 20;

function isLong(message: StoredMessage | undefined): boolean {
  return message !== undefined && message.presence !== "remote" && message.sizeBytes > longBytes;
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
