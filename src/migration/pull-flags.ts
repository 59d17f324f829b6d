/**
 * Flags of messages of which only the UID is known, for clients that want to know nothing else yet: asked for by one
 * FETCH of the whole mailbox, and passed on while it is answered. Metadata follow in ranges (pull-meta.ts), and take
 * the old server ten times as long.
 *
 * What always holds
 * - Whoever asks is released when the flags of all his UIDs are known, and at the latest when the FETCH that was to
 *   bring them has ended: a UID that it did not answer has gone, and the next delta will miss it.
 * - No UID is asked for by two FETCHes at a time.
 */
import type { FlagsOf } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import { indexFinder, type UidSet, uidRunsOf } from "../mail/number-set.ts";
import type { MailboxRecord } from "../store/store.ts";
import { fetchAround } from "./fetch-around.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { remoteIn } from "./message-table.ts";
import { expectReadable } from "./unreadable.ts";

export interface FlagsPull {
  /** Makes the flags known of all of `uids` that are in the mailbox. Throws UNAVAILABLE. */
  demand(uids: readonly Uid[]): Promise<void>;
}

/** A client that shows a page of a mailbox asks for no more than this. */
const pageMessages = 500;

export function createFlagsPull(mailbox: MailboxState): FlagsPull {
  const flights = new Set<Flight>();
  let hasServedPage = false;
  const isAsked = (uid: Uid): boolean => [...flights].some((flight) => flight.asks(uid));

  /** One page is all that some clients want; who comes for more is likely to want the rest, too. */
  const asFarAs = (wanted: readonly Uid[]): readonly Uid[] => {
    if (wanted.length <= pageMessages && !hasServedPage) {
      hasServedPage = true;
      return wanted;
    }
    const { table, early } = mailbox;
    if (early.isEmpty && flights.size === 0 && table.remoteCount === table.uids.length) return table.uids;
    const isUnknown = unknownIn(mailbox);
    return table.uids.filter((uid) => isUnknown(uid) && !isAsked(uid));
  };
  const start = (wanted: readonly Uid[]): Flight => {
    const flight = startFlight(mailbox, asFarAs(wanted), () => flights.delete(flight));
    flights.add(flight);
    return flight;
  };

  return {
    async demand(uids) {
      if (mailbox.table.remoteCount === 0) return;
      const waits: Promise<void>[] = [];
      let missing = uids.filter(unknownIn(mailbox));
      for (const flight of flights) {
        const brought: Uid[] = [];
        const others: Uid[] = [];
        for (const uid of missing) (flight.asks(uid) ? brought : others).push(uid);
        if (brought.length > 0) waits.push(flight.bring(brought));
        missing = others;
      }
      if (missing.length > 0) waits.push(start(missing).bring(missing));
      await Promise.all(waits);
    },
  };
}

/** One FETCH, and those who wait for what it brings. */
interface Flight {
  asks(uid: Uid): boolean;
  /** Resolves when the flags of `uids`, which it asks for, are known, or will not be. */
  bring(uids: readonly Uid[]): Promise<void>;
}

interface Waiting {
  readonly uids: readonly Uid[];
  /** How many of them are known: they come in the order of the mailbox. */
  known: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

function startFlight(mailbox: MailboxState, asked: readonly Uid[], onEnd: () => void): Flight {
  let waiting: Waiting[] = [];
  let fetched: FlagsOf[] = [];
  const indexAsked = indexFinder(asked);

  const isServed = (one: Waiting): boolean => {
    const isUnknown = unknownIn(mailbox);
    const { uids } = one;
    for (; one.known < uids.length; one.known++) if (isUnknown(uids[one.known] as Uid)) return false;
    return true;
  };
  const commit = (record: MailboxRecord): void => {
    const part = fetched;
    fetched = [];
    mailbox.commitEarlyFlags(record, part);
    const served = waiting.filter(isServed);
    if (served.length > 0) waiting = waiting.filter((one) => !served.includes(one));
    for (const one of served) one.resolve();
  };
  const end = (tell: (one: Waiting) => void): void => {
    onEnd();
    for (const one of waiting.splice(0)) tell(one);
  };
  /** Of those that were not answered some may be such that the server cannot give their flags; others have gone. */
  const resolveOrReject = (one: Waiting): void => {
    try {
      expectReadable(mailbox, "flags", one.uids.filter(unknownIn(mailbox)));
      one.resolve();
    } catch (error) {
      one.reject(error);
    }
  };
  const fail = (reason: unknown): void => end((one) => one.reject(reason));

  // A first look may not have learned whether there are MODSEQs: without them it is answered sooner.
  fetchAround(mailbox, {
    asked: "flags",
    uids: asked,
    work: { priority: "interactive", quick: true },
    isHere: (uid) => !unknownIn(mailbox)(uid),
    async fetch(lease, record, uids) {
      const note = (flags: FlagsOf): void => {
        // Once for all that the connection has read in one go.
        if (fetched.push(flags) === 1) Promise.resolve(record).then(commit).catch(fail);
      };
      try {
        // A client that waits for these wants nothing else: MODSEQs come with the metadata.
        await lease.fetchFlags(rangesOf(uids, mailbox.table.uids), note, undefined, { modSeqs: false });
      } finally {
        commit(record);
      }
    },
  }).then(() => end(resolveOrReject), fail);

  return {
    asks: (uid) => indexAsked(uid) >= 0,
    bring(uids) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiting.push({ uids, known: 0, resolve, reject });
      return promise;
    },
  };
}

/** Over the gaps between them: no other message is there. */
function rangesOf(asked: readonly Uid[], among: readonly Uid[]): UidSet {
  const [from, to] = [asked[0], asked.at(-1)];
  if (asked === among && from !== undefined && to !== undefined) return [{ from, to }];
  return uidRunsOf(asked, among);
}

/** Until anything of the mailbox changes. */
function unknownIn({ table, early }: MailboxState): (uid: Uid) => boolean {
  const isRemote = remoteIn(table);
  return (uid) => early.get(uid) === undefined && isRemote(uid);
}
