/**
 * Watches a mailbox on the legacy server: by IDLE on the connection that has it selected, which is given back when
 * others wait for one and nobody else uses it, and by looking from time to time where that cannot be had.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { MailboxLease } from "../legacy/source.ts";
import { anyOf } from "../waiting.ts";
import { catchUp } from "./follow-mailbox.ts";
import { withMailbox } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { createNewsPace } from "./news-pace.ts";

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
/** The same where there are more users than connections: each look is a login then. */
const crowdedPollMs = 150_000;
/** Until a connection to wait on is asked for again, after others wanted it. */
const resumeMs = 3_000;
/** How long a connection for IDLE is waited for, where others of the same user have them all. */
const patienceMs = 1_000;

/** After a wait on a connection, or in place of one. */
interface Pause {
  readonly ms: number;
  /** Nobody has looked, nor will. */
  readonly thenLook: boolean;
}

/** `look`: a delta on whatever connection there is. */
export function createWatch(mailbox: MailboxState, look: () => Promise<void>): MailboxWatch {
  let clients = 0;
  let endPause = (): void => undefined;
  const pace = createNewsPace();

  const takeNews = async (lease: MailboxLease): Promise<void> => {
    let hasFound = false;
    const unsubscribe = mailbox.subscribe(() => {
      hasFound = true;
    });
    try {
      await mailbox.exclusive((waited) => catchUp(mailbox, lease, { waited, unasked: true }));
    } finally {
      unsubscribe();
      pace.noteLook(hasFound);
    }
  };
  const idle = async (ended: AbortSignal): Promise<Pause> => {
    const giveWay = new AbortController();
    const patience = new AbortController();
    // Where the host has none left it is in a queue, and gets its turn.
    const timer = setInterval(() => {
      if (!mailbox.source.isCrowded) patience.abort(new Error("no connection to watch on"));
    }, patienceMs);
    const until = anyOf(ended, giveWay.signal, patience.signal);
    const request = {
      priority: "background",
      signal: anyOf(ended, patience.signal),
      onWanted: () => giveWay.abort(),
      isStandby: () => clients === 0,
      // The client that has just looked asks on: what MODSEQs cost the old server can wait for the first news.
      quick: mailbox.record.highestModSeq === 0n,
    } as const;
    try {
      return await withMailbox(mailbox, request, async (lease) => {
        clearInterval(timer);
        if (!lease.capabilities.has("IDLE")) return asNoIdle();
        const take = async (): Promise<void> => {
          await pace.turn(until);
          if (!until.aborted) await takeNews(lease);
        };
        await takeNews(lease);
        await lease.watch(until, take);
        // It is looked at when it is selected again.
        return { ms: resumeMs, thenLook: false };
      });
    } finally {
      clearInterval(timer);
    }
  };
  const asNoIdle = (): Pause => ({
    ms: mailbox.source.isCrowded ? crowdedPollMs : pollMs,
    thenLook: true,
  });
  const pause = async (pauseMs: number, ended: AbortSignal): Promise<void> => {
    const over = new AbortController();
    endPause = () => over.abort();
    await delay(pauseMs, undefined, { signal: anyOf(ended, over.signal) }).catch(() => undefined);
  };

  const run = async (ended: AbortSignal): Promise<void> => {
    while (!ended.aborted) {
      const { ms, thenLook } = await idle(ended).catch((error: unknown) => note(error, ended));
      await pause(ms, ended);
      if (thenLook && !ended.aborted) await look().catch((error: unknown) => note(error, ended));
    }
  };
  const note = (error: unknown, ended: AbortSignal): Pause => {
    if (!mailbox.signal.aborted && !ended.aborted) {
      mailbox.logger.debug({ err: error, mailbox: mailbox.record.name }, "the watch was interrupted");
    }
    return { ms: pollMs, thenLook: true };
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
        if (!isStopped && --clients === 0) mailbox.isSelected = false;
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
