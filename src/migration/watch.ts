/**
 * Watches a mailbox on the legacy server while sessions have it open: by IDLE on a connection of the
 * background's share, which is given back when others wait for one, and by looking from time to time where
 * that cannot be had.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { MailboxLease } from "../legacy/source.ts";
import { withMailbox } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { takeDelta } from "./sync-mailbox.ts";

export interface Watch {
  /** Watches until what is returned is called; any number of times. */
  start(): () => void;
}

/** Between two looks where the server does not tell by itself. */
const pollMs = 15_000;
/** How long a connection for IDLE is waited for. */
const patienceMs = 1_000;

/** `look`: a delta on whatever connection there is. */
export function createWatch(mailbox: MailboxState, look: () => Promise<void>): Watch {
  const idle = async (ended: AbortSignal): Promise<void> => {
    const giveWay = new AbortController();
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new Error("no connection to watch on")), patienceMs);
    const until = AbortSignal.any([ended, giveWay.signal]);
    const request = {
      priority: "background",
      signal: patience.signal,
      onWanted: () => giveWay.abort(),
    } as const;
    try {
      await withMailbox(mailbox, request, async (lease) => {
        clearTimeout(timer);
        if (!lease.capabilities.has("IDLE")) return;
        if (isBehind(mailbox, lease)) await delta(lease);
        while (!until.aborted) {
          await lease.idle(until);
          if (!ended.aborted) await delta(lease);
        }
      });
    } finally {
      clearTimeout(timer);
    }
  };
  const delta = (lease: MailboxLease): Promise<void> =>
    mailbox.exclusive(async () => takeDelta(mailbox, lease, await lease.examineAgain()));

  const run = async (ended: AbortSignal): Promise<void> => {
    while (!ended.aborted) {
      await idle(ended).catch(note);
      await delay(pollMs, undefined, { signal: ended }).catch(() => undefined);
      if (!ended.aborted) await look().catch(note);
    }
  };
  const note = (error: unknown): void => {
    if (mailbox.signal.aborted) return;
    mailbox.logger.debug({ err: error, mailbox: mailbox.record.name }, "the watch was interrupted");
  };

  return watchWhileWanted(run, mailbox.signal);
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
        void run(AbortSignal.any([stop.signal, signal]));
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
