/**
 * One mailbox here and on the legacy server: what sessions and jobs may ask of it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isUnavailable, MailError } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { type NumberRange, type UidSet, uidSetOf } from "../mail/number-set.ts";
import type { SortKey } from "../mail/sort-key.ts";
import type { ThreadAlgorithm, ThreadNode } from "../mail/thread.ts";
import type { MailboxRecord } from "../store/store.ts";
import { singleFlight, waitWith } from "../waiting.ts";
import { expungedSince } from "./expunged-since.ts";
import { isUnchanged, type SyncOptions, takeTold } from "./follow-mailbox.ts";
import { forgetChanged } from "./given-back.ts";
import { type Losses, lossesOf, type PutAside, putAsideIn } from "./losses.ts";
import { withMailbox, withMailboxApart } from "./mailbox-lease.ts";
import type { MailboxEvent, MailboxState, MailboxStateOptions } from "./mailbox-state.ts";
import { openMailboxState } from "./open-mailbox-state.ts";
import { createBodyPull } from "./pull-bodies.ts";
import { createFlagsPull } from "./pull-flags.ts";
import { createMetaPull, type MetaPull } from "./pull-meta.ts";
import { type ContentOnItsWay, createSameContent } from "./same-content.ts";
import { syncAround } from "./sync-around.ts";
import type { FirstLook } from "./sync-mailbox.ts";
import { unreadableOf } from "./unreadable.ts";
import { createWatch, type WatchOptions } from "./watch.ts";

export type { MailboxEvent } from "./mailbox-state.ts";

export interface LookOptions {
  /** HIGHESTMODSEQ is wanted, too: the first look may go without. */
  readonly modSeqs?: boolean;
  /** Where the legacy server was asked in the last second, that is good enough. */
  readonly lately?: boolean;
  /** Called where this is the first look, or waits for it. */
  readonly onFirstLook?: ((first: FirstLook) => void) | undefined;
}

export interface PullTurnOptions {
  readonly ofArrivals?: boolean;
}

export interface MailboxMirror extends Pick<MetaPull, "headers" | "structures"> {
  readonly state: MailboxState;
  /** Messages given up after repeated tries, and not accepted as lost, with the reason. */
  readonly quarantine: ReadonlyMap<Uid, string>;
  /** Somebody asks for all: what was put aside is asked for once more, too. */
  retryNow(): void;
  subscribe(listener: (event: MailboxEvent) => void): () => void;
  /** The delta; resolves when what the legacy server had at the time of the call is committed. */
  sync(signal: AbortSignal, options?: LookOptions): Promise<void>;
  /** The same, as a client does who means to change something: what SELECT alone tells is learned. */
  select(signal: AbortSignal, options?: LookOptions): Promise<void>;
  /** Takes in what has been told of these new messages; where that is not all of them, a delta. */
  publish(added: readonly Uid[], signal: AbortSignal): Promise<void>;
  /** Watches the legacy server for changes until what is returned is called. */
  watch(options?: WatchOptions): () => void;
  /** Flags of `uids`, though nothing else of them may be known. */
  flags(uids: readonly Uid[]): Promise<void>;
  /** Metadata of `uids`. */
  metadata(uids: readonly Uid[]): Promise<void>;
  /** Metadata of all messages whose MODSEQ is above `since`: afterwards none of them is `remote`. */
  changedSince(since: ModSeq): Promise<void>;
  /** Of `uids` what was expunged since; undefined where nobody can tell any more. */
  expungedSince(since: ModSeq, uids: UidSet): Promise<readonly NumberRange[] | undefined>;
  content(uid: Uid, signal: AbortSignal): Promise<MessageContent | undefined>;
  prefetch(uids: readonly Uid[]): void;
  /** The order of `uids` on the legacy server; undefined where it cannot tell. */
  sort(keys: readonly SortKey[], uids: readonly Uid[]): Promise<readonly Uid[] | undefined>;
  thread(algorithm: ThreadAlgorithm, uids: readonly Uid[]): Promise<readonly ThreadNode[] | undefined>;
  /** `UID SEARCH` on the legacy server; undefined where its answer is not to be believed. */
  search(
    criteria: readonly Buffer[],
    charset: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly Uid[] | undefined>;
  /**
   * One turn of the background: delta, metadata, bodies. `done` when nothing is missing but what is in
   * quarantine; `more` when something is. It holds its connection for about `turnMs`, from the moment it
   * has one. With `ofArrivals` only what has been told of is brought.
   */
  pullTurn(turnMs: number, options?: PullTurnOptions): Promise<"done" | "more">;
  /** A message is known that a turn would bring. */
  isBehind(): boolean;
  /** Writes dovecot-uidlist and dovecot-keywords of what is here. */
  checkpoint(): Promise<void>;
}

export interface MailboxMirrorOptions extends MailboxStateOptions {
  /** Shared by the mailboxes of the account. */
  readonly onItsWay?: ContentOnItsWay;
  /** Where it is open already. */
  readonly state?: MailboxState | undefined;
}

/** Nothing to ask for though something is missing: others are at it, and need not be watched at full speed. */
const idlePauseMs = 100;

/** How often a message may be asked for without coming before it is put aside. */
const maxAttempts = 3;
/** Until one that was put aside is asked for once more: the old server may have been mended. */
const retryMs = 10 * 60_000;

export async function openMailboxMirror(options: MailboxMirrorOptions): Promise<MailboxMirror> {
  const state = options.state ?? (await openMailboxState(options));
  if (!options.state) await forgetChanged(state);
  const metadata = createMetaPull(state);
  const flags = createFlagsPull(state);
  const sameContent = createSameContent(state, options.onItsWay ?? new Set());
  const bodies = createBodyPull(state, sameContent);
  const unreadable = unreadableOf(state);
  const attempts = new Map<Uid, number>();
  const losses = (): Losses => lossesOf(state.store, state.record);
  /** Put aside, and not asked for until then. */
  const retryAt = new Map<Uid, number>();
  let known: Losses | undefined;
  /** Those of now: under another UIDVALIDITY the UIDs are other messages'. */
  const lossesNow = (): Losses => {
    const now = losses();
    if (now === known) return now;
    retryAt.clear();
    attempts.clear();
    for (const uid of now.putAside.keys()) retryAt.set(uid, performance.now() + retryMs);
    known = now;
    return now;
  };
  lossesNow();
  const quarantine = {
    has(uid: Uid): boolean {
      const { accepted } = lossesNow();
      return retryAt.has(uid) || accepted.has(uid);
    },
    add(all: ReadonlyMap<Uid, PutAside>): void {
      lossesNow().putAllAside(all);
      for (const uid of all.keys()) retryAt.set(uid, performance.now() + retryMs);
    },
  };
  const flights = new Map<string, () => Promise<void>>();
  const firstLooks = new Set<(first: FirstLook) => void>();
  const onFirstLook = (first: FirstLook): void => {
    for (const tell of firstLooks) tell(first);
  };
  /** Who asks for the same while it is on its way waits for one more, with all who do. */
  const look = (options: LookOptions & Pick<SyncOptions, "write">): Promise<void> => {
    const key = `${options.write} ${options.modSeqs} ${options.lately}`;
    const flight =
      flights.get(key) ??
      singleFlight(() =>
        syncAround(state, { priority: "interactive", signal: state.signal, ...options, onFirstLook }),
      );
    flights.set(key, flight);
    const { onFirstLook: tell } = options;
    if (!tell || state.listed) return flight();
    firstLooks.add(tell);
    return flight().finally(() => firstLooks.delete(tell));
  };
  const watch = createWatch(state, () => look({}));

  const isMissing = (uid: Uid): boolean =>
    state.table.get(uid)?.presence !== "full" && !quarantine.has(uid) && !state.brake.isHeld(uid);
  const isBehind = (): boolean => {
    const { table, problem, isTransient } = state;
    if (problem !== undefined || isTransient || table.fullCount === table.uids.length) return false;
    return table.uids.some(isMissing);
  };
  /** Of what the background asked for itself; what a client has asked for is settled between the two. */
  const countAttempts = (asked: Iterable<Uid>): void => {
    const givenUp = new Map<Uid, PutAside>();
    for (const uid of asked) {
      if (state.table.get(uid) === undefined || !isMissing(uid)) continue;
      const tries = (attempts.get(uid) ?? 0) + 1;
      attempts.set(uid, tries);
      if (tries < maxAttempts) continue;
      givenUp.set(uid, { reason: `asked for ${tries} times, the legacy server did not answer`, tries });
    }
    quarantine.add(givenUp);
  };
  /** Not to be had though asked for by themselves. */
  const putUnreadableAside = (): void => {
    const givenUp = new Map<Uid, PutAside>();
    for (const asked of ["metadata", "content"] as const)
      for (const uid of unreadable.suspects(asked)) {
        const failure = unreadable.failureOf(uid, asked);
        if (!failure || state.table.get(uid) === undefined || !isMissing(uid) || givenUp.has(uid)) continue;
        givenUp.set(uid, { reason: `the old server cannot give it: ${failure.message}`, tries: 1 });
      }
    quarantine.add(givenUp);
  };
  /** What a FETCH of many has broken on is found, and the rest brought. */
  const mend = async (): Promise<void> => {
    const isWanted = (uid: Uid): boolean => !quarantine.has(uid);
    try {
      await metadata.mend(isWanted);
      await bodies.mend(isWanted);
    } finally {
      putUnreadableAside();
    }
  };
  const retryQuarantined = (until: number): void => {
    for (const [uid, at] of retryAt) {
      const isGone = state.table.get(uid) === undefined;
      if (!isGone && at > until) continue;
      retryAt.delete(uid);
      if (isGone) attempts.delete(uid);
    }
  };

  /** Bodies follow as soon as the first metadata are known: the disk has work while the rest is listed. */
  const pullOn = async (
    connection: MailboxLease,
    record: MailboxRecord,
    skip: (uid: Uid) => boolean,
    shouldYield: () => boolean,
  ): Promise<ReadonlySet<Uid>> => {
    let isListing = true;
    let more = Promise.withResolvers<void>();
    const tellMore = (): void => {
      more.resolve();
      more = Promise.withResolvers();
    };
    const listing = metadata.pullAll(connection, record, tellMore).finally(() => {
      isListing = false;
      tellMore();
    });
    listing.catch(() => undefined);
    const asked = new Set<Uid>();
    const skipNow = (uid: Uid): boolean => skip(uid) || asked.has(uid);
    for (let isLast = false; !isLast && (asked.size === 0 || !shouldYield()); ) {
      isLast = !isListing;
      const next = more.promise;
      for (const uid of await bodies.pullAll(connection, record, skipNow, shouldYield)) asked.add(uid);
      if (!isLast) await next;
    }
    for (const uid of await listing) if (state.table.get(uid)?.presence === "remote") asked.add(uid);
    return asked;
  };

  return {
    state,
    get quarantine() {
      return new Map(putAsideIn(state).map(([uid, { reason }]) => [uid, reason]));
    },
    retryNow() {
      unreadable.retry();
      retryQuarantined(Number.POSITIVE_INFINITY);
    },
    headers: metadata.headers,
    structures: metadata.structures,
    subscribe: (listener) => state.subscribe(listener),
    sync: (signal, options) => waitWith(look({ ...options }), signal),
    select: (signal, options) => waitWith(look({ ...options, write: true }), signal),
    async publish(added, signal) {
      const isHere = (): boolean =>
        added.length > 0 && added.every((uid) => state.table.get(uid) !== undefined);
      if (added.length > 0 && !isHere()) await waitWith(takeTold(state), signal);
      if (!isHere()) await waitWith(look({}), signal);
    },
    watch: (options) => watch.start(options),
    flags: (uids) => flags.demand(uids),
    metadata: (uids) => metadata.demand(uids),
    changedSince: (since) => metadata.demandChanged(since),
    expungedSince: (since, uids) => expungedSince(state, since, uids),
    prefetch: (uids) => bodies.prefetch(uids),
    sort: (keys, uids) => withMailbox(state, searching, (lease) => lease.sort(keys, uidSetOf(uids))),
    thread: (algorithm, uids) =>
      withMailbox(state, searching, (lease) => lease.thread(algorithm, uidSetOf(uids))),
    search: (criteria, charset, signal) =>
      waitWith(
        withMailbox(state, searching, (lease) => lease.search(criteria, charset)),
        signal,
      ),
    async content(uid, signal) {
      try {
        const content = await bodies.content(uid, signal);
        if (!content?.isNil) return content;
        // So some answer for a message that has been expunged.
        await waitWith(look({}), signal);
        return state.table.get(uid) === undefined ? undefined : content;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        // The message may have been expunged there since the last look.
        await waitWith(look({}), signal);
        if (state.table.get(uid) === undefined) return undefined;
        throw error;
      }
    },
    async pullTurn(turnMs, { ofArrivals = false } = {}) {
      retryQuarantined(performance.now());
      if (!ofArrivals && (await isUnchanged(state))) return "done";
      if (!ofArrivals)
        await syncAround(state, {
          priority: "background",
          signal: state.signal,
          thorough: true,
          lately: true,
        });
      if (!isBehind()) return "done";
      const pull = (connection: MailboxLease, record: MailboxRecord): Promise<ReadonlySet<Uid>> => {
        const ends = performance.now() + turnMs;
        const isOver = (): boolean =>
          state.signal.aborted || performance.now() > ends || connection.isWanted();
        return pullOn(connection, record, (uid) => quarantine.has(uid), isOver);
      };
      const asked = await (isLittle(state)
        ? withMailbox(state, { priority: "background" }, pull)
        : withMailboxApart(state, pull)
      ).catch((error: unknown) => {
        if (!unreadable.hasBroken) throw error;
        return new Set<Uid>();
      });
      await mend();
      countAttempts(asked);
      // Only now, with the connection given back: a client may be waiting for one.
      if (asked.size === 0) {
        await Promise.all([metadata.clientsServed(), bodies.clientsServed()]);
        await delay(idlePauseMs, undefined, { signal: state.signal });
      }
      return isBehind() ? "more" : "done";
    },
    isBehind,
    checkpoint: () => state.store.checkpoint(state.record, state.table),
  };
}

/** So many messages are brought across on the connection that others share. */
const fewMessages = 100;
const fewBytes = 1 << 20;

function isLittle({ table }: MailboxState): boolean {
  const { uids, fullCount, remoteCount, knownBytes, fullBytes } = table;
  return uids.length - fullCount <= fewMessages && remoteCount === 0 && knownBytes - fullBytes <= fewBytes;
}

/** May take the server long, and the clients' changes do not wait for it. */
const searching = { priority: "interactive", apart: true } as const;

export function noSuchMailbox(): MailError {
  return new MailError("NONEXISTENT", "Mailbox does not exist");
}
