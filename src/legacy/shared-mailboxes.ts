/**
 * The mailboxes that one user's connections hold selected for all who use them at the same time: whoever watches a
 * mailbox, changes it or reads from it does so on one connection, and the commands of all are pipelined on it.
 *
 * What always holds
 * - Of a mailbox there is one such connection (or one that is being opened); it is given back when nobody uses it.
 * - While it is only watched it counts as idle for the budget (see `LeaseOptions.onWanted`): all who watch are asked
 *   to give way when others need a connection.
 * - Whoever stops waiting leaves the connection to the others; the connection's end ends the work of all.
 */
import { MailError, mayBeRetried } from "../errors.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { waitWith } from "../waiting.ts";
import type { Permit } from "./budget.ts";
import type { ImapConnection } from "./imap-connection.ts";
import type { LeaseOptions, MailboxLeaseOptions } from "./source.ts";

export interface HeldConnection {
  readonly connection: ImapConnection;
  readonly permit: Permit;
  /** It was open already: the server may have closed it without a sign. */
  readonly wasKept: boolean;
}

export interface SharedMailboxes {
  /** Runs `work` on the connection that has the mailbox selected; it is opened where there is none. */
  use<T>(
    name: EncodedMailboxName,
    request: MailboxLeaseOptions,
    work: (connection: ImapConnection) => Promise<T>,
  ): Promise<T>;
  /** Whether anything but IDLE is going on on the mailbox's connection; undefined where there is none. */
  has(name: EncodedMailboxName): "free" | "busy" | undefined;
  /** Ends the mailbox's connection, and the work on it. */
  letGo(name: EncodedMailboxName): Promise<void>;
  /** A mailbox whose connection is free: for work that needs none. */
  anyFree(): EncodedMailboxName | undefined;
}

export interface SharedMailboxesOptions {
  /** A connection of one's own, and the permit for it; `anew`: none that was kept. */
  readonly open: (name: EncodedMailboxName, request: LeaseOptions, anew: boolean) => Promise<HeldConnection>;
  readonly giveBack: (held: HeldConnection) => void;
  /** One has ended that others wait on: where connections are short, those may have to give way. */
  readonly onRest: () => void;
}

interface Shared {
  readonly users: Set<LeaseOptions>;
  readonly priority: LeaseOptions["priority"];
  readonly opening: Promise<HeldConnection>;
  /** Ends the wait for a connection once nobody wants it any more. */
  readonly unwanted: AbortController;
  connection: ImapConnection | undefined;
}

export function createSharedMailboxes({ open, giveBack, onRest }: SharedMailboxesOptions): SharedMailboxes {
  const byName = new Map<EncodedMailboxName, Shared>();

  const begin = (name: EncodedMailboxName, request: LeaseOptions, anew: boolean): Shared => {
    const users = new Set<LeaseOptions>([request]);
    const unwanted = new AbortController();
    const shared: Shared = {
      users,
      priority: request.priority,
      unwanted,
      connection: undefined,
      opening: open(
        name,
        { ...jointRequest(users), priority: request.priority, signal: unwanted.signal },
        anew,
      ),
    };
    byName.set(name, shared);
    shared.opening.then(
      ({ connection }) => {
        shared.connection = connection;
        // Another was faster, and has left.
        if (!byName.has(name) && users.size > 0) byName.set(name, shared);
        void connection.closed.then(() => forget(name, shared));
      },
      () => forget(name, shared),
    );
    return shared;
  };
  const forget = (name: EncodedMailboxName, shared: Shared): void => {
    if (byName.get(name) === shared) byName.delete(name);
  };
  /** Who has asked for a client does not wait in the background's queue. */
  const join = (name: EncodedMailboxName, request: LeaseOptions, anew: boolean): Shared => {
    const shared = byName.get(name);
    const isTooSlow = shared?.connection === undefined && request.priority === "interactive";
    if (!shared || (isTooSlow && shared.priority !== "interactive")) return begin(name, request, anew);
    shared.users.add(request);
    return shared;
  };
  const leave = (name: EncodedMailboxName, shared: Shared, request: LeaseOptions): void => {
    shared.users.delete(request);
    if (shared.users.size > 0) {
      if ([...shared.users].every(({ onWanted }) => onWanted !== undefined)) onRest();
      return;
    }
    forget(name, shared);
    shared.unwanted.abort(new Error("nobody waits for this connection any more"));
    // Where it was never opened there is nothing to give back.
    shared.opening.then(giveBack, () => undefined);
  };

  const useOnce = async <T>(
    name: EncodedMailboxName,
    asked: MailboxLeaseOptions,
    work: (connection: ImapConnection) => Promise<T>,
    anew: boolean,
  ): Promise<{ readonly result: T } | "dead" | "dead, and kept"> => {
    const request = { ...asked };
    const shared = join(name, request, anew);
    let running: Promise<T> | undefined;
    try {
      const { connection, wasKept } = await waitWith(shared.opening, request.signal);
      const before = connection.responseCount;
      running = work(connection);
      try {
        return { result: await waitWith(running, request.signal) };
      } catch (error) {
        const wasDead = connection.isClosed && connection.responseCount === before;
        if (!wasDead || request.signal.aborted || !mayBeRetried(error)) throw error;
        return wasKept ? "dead, and kept" : "dead";
      }
    } finally {
      const left = (): void => leave(name, shared, request);
      if (running) running.then(left, left);
      else left();
    }
  };

  const shares: SharedMailboxes = {
    async use(name, request, work) {
      let done = await useOnce(name, request, work, false);
      // A server that went away for a moment leaves all that were kept dead: only a new one tells.
      for (let isLast = false; typeof done === "string" && !isLast; isLast = done === "dead")
        done = await useOnce(name, request, work, true);
      if (typeof done === "string")
        throw new MailError("UNAVAILABLE", "The old server closes every connection");
      return done.result;
    },
    has(name) {
      const connection = byName.get(name)?.connection;
      if (!connection || connection.isClosed) return undefined;
      return connection.isAsked ? "busy" : "free";
    },
    async letGo(name) {
      const shared = byName.get(name);
      // One that is still being opened has nothing selected yet.
      if (!shared?.connection) return;
      forget(name, shared);
      await shared.connection.logout();
    },
    anyFree: () => [...byName.keys()].find((name) => shares.has(name) === "free"),
  };
  return shares;
}

/** It is held for work as long as one of them works, and for a client's sake as long as one of them waits for one. */
function jointRequest(
  users: ReadonlySet<LeaseOptions>,
): Pick<LeaseOptions, "onWanted" | "isStandby" | "isWorking"> {
  return {
    onWanted() {
      for (const { onWanted } of users) onWanted?.();
    },
    isWorking: () => [...users].some(({ onWanted }) => onWanted === undefined),
    isStandby: () => [...users].every(({ isStandby }) => isStandby?.() ?? false),
  };
}
