/**
 * Watches a mailbox on the legacy server: by IDLE on a connection of the background's share, which is
 * given back when others wait for one, and by looking from time to time where that cannot be had.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { MailboxLease } from "../legacy/source.ts";
import { anyOf } from "../waiting.ts";
import { withMailbox } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { takeDelta } from "./sync-mailbox.ts";

export interface Watch {
  /** Watches until what is returned is called; any number of times. */
  start(): () => void;
}

export interface WatchOptions {
  /** No client has the mailbox open: the connection is given up for one that a client has (see `LeaseOptions`). */
  readonly standby?: boolean;
}

export interface MailboxWatch {
  start(options?: WatchOptions): () => void;
}

/** Between two looks where the server does not tell by itself. */
const pollMs = 15_000;
/** Until a connection to wait on is asked for again, after others wanted it. */
const resumeMs = 3_000;
/** How long a connection for IDLE is waited for. */
const patienceMs = 1_000;

/** `look`: a delta on whatever connection there is. */
export function createWatch(mailbox: MailboxState, look: () => Promise<void>): MailboxWatch {
  let clients = 0;
  let endPause = (): void => undefined;

  /** Tells how long to pause. */
  const idle = async (ended: AbortSignal): Promise<number> => {
    const giveWay = new AbortController();
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new Error("no connection to watch on")), patienceMs);
    const until = anyOf(ended, giveWay.signal);
    const request = {
      priority: "background",
      signal: patience.signal,
      onWanted: () => giveWay.abort(),
      isStandby: () => clients === 0,
      // The client that has just looked asks on: what MODSEQs cost the old server can wait for the first news.
      quick: mailbox.record.highestModSeq === 0n,
    } as const;
    try {
      return await withMailbox(mailbox, request, async (lease) => {
        clearTimeout(timer);
        if (!lease.capabilities.has("IDLE")) return pollMs;
        if (isBehind(mailbox, lease)) await delta(lease);
        while (!until.aborted) {
          await lease.idle(until);
          if (!ended.aborted) await delta(lease);
        }
        return resumeMs;
      });
    } finally {
      clearTimeout(timer);
    }
  };
  const delta = (lease: MailboxLease): Promise<void> =>
    mailbox.exclusive(async () => takeDelta(mailbox, lease, await lease.examineAgain()));
  const pause = async (pauseMs: number, ended: AbortSignal): Promise<void> => {
    const over = new AbortController();
    endPause = () => over.abort();
    await delay(pauseMs, undefined, { signal: anyOf(ended, over.signal) }).catch(() => undefined);
  };

  const run = async (ended: AbortSignal): Promise<void> => {
    while (!ended.aborted) {
      await pause(await idle(ended).catch(note), ended);
      if (!ended.aborted) await look().catch(note);
    }
  };
  const note = (error: unknown): number => {
    if (!mailbox.signal.aborted) {
      mailbox.logger.debug({ err: error, mailbox: mailbox.record.name }, "the watch was interrupted");
    }
    return pollMs;
  };

  const watch = watchWhileWanted(run, mailbox.signal);
  return {
    start({ standby = false } = {}) {
      const stop = watch.start();
      if (standby) return stop;
      // What was waited for with nobody there is waited for at once.
      if (++clients === 1) endPause();
      let isStopped = false;
      return () => {
        if (!isStopped) clients--;
        isStopped = true;
        stop();
      };
    },
  };
}

/** `run` goes on until its signal: while anybody watches, and `signal` at the longest. It never rejects. */
export function watchWhileWanted(run: (ended: AbortSignal) => Promise<void>, signal: AbortSignal): Watch {
  let watchers = 0;
  let stop: AbortController | undefined;
  return {
    start() {
      watchers++;
      if (!stop) {
        stop = new AbortController();
        void run(anyOf(stop.signal, signal));
      }
      let isStopped = false;
      return () => {
        if (isStopped) return;
        isStopped = true;
        if (--watchers > 0) return;
        stop?.abort();
        stop = undefined;
      };
    },
  };
}

/** Something has happened since the last delta, as far as EXAMINE tells. */
function isBehind({ record, table }: MailboxState, { examined }: MailboxLease): boolean {
  return (
    examined.exists !== table.uids.length ||
    examined.uidNext !== record.uidNext ||
    (examined.highestModSeq !== undefined && examined.highestModSeq !== record.highestModSeq)
  );
}
