/**
 * All connections of one user to the old IMAP server (see source.ts): a pool within the host's budget.
 *
 * What always holds
 * - A lease's connection is used by nobody else, and goes back to the pool only when nothing is in
 *   flight on it. An aborted lease loses its connection.
 * - Nothing is waited for while holding a permit, but the server.
 */
import { isUnavailable, MailError, mayBeRetried } from "../errors.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { anyOf } from "../waiting.ts";
import type { Permit } from "./budget.ts";
import { type ConnectorOptions, createConnector } from "./connector.ts";
import { createIdlePool } from "./idle-pool.ts";
import type { ImapConnection, ShownValidity } from "./imap-connection.ts";
import { createLease, createMailboxLease } from "./lease.ts";
import { createManners } from "./manners.ts";
import type { LegacyConnection } from "./prove-login.ts";
import { leaveMailbox } from "./selected-mailbox.ts";
import { createSharedMailboxes } from "./shared-mailboxes.ts";
import { createSickConnections } from "./sick-connections.ts";
import type { ImapSource, LeaseOptions } from "./source.ts";
import { createTurns, type Turn } from "./turns.ts";

export { type LegacyConnection, proveLogin } from "./prove-login.ts";

export interface ImapSourceOptions extends ConnectorOptions {
  /** Whose share of the budget it is. */
  readonly user: string;
  /** The connection on which the login was proven. */
  readonly first?: LegacyConnection;
  /** How long an unused connection is kept. */
  readonly idleMs?: number;
}

export interface ImapConnectionPool extends ImapSource {
  /** UIDVALIDITYs that stand in for those that the server tells. */
  showAs(shown: ShownValidity): void;
  /** Takes over the connection that another login was proven on. */
  adopt(connection: LegacyConnection): void;
  /**
   * For another way to the same mail: `isAlone` tells that the server bears no two sessions (quirks.ts), and that none
   * of these does anything until `work` is over.
   */
  aside<T>(work: (isAlone: boolean) => Promise<T>): Promise<T>;
}

/** How long a connection that was asked for is waited for: a round trip, and what the server takes. */
const giveWayMs = 2_000;

type Work<T> = (connection: ImapConnection) => Promise<T>;

export function createImapSource(options: ImapSourceOptions): ImapConnectionPool {
  const { budget, user, idleMs = 60_000 } = options;
  const connector = createConnector(options);
  const pool = createIdlePool(budget, user, idleMs);
  const closing = new AbortController();
  const turns = createTurns();
  const manners = createManners();
  const sick = createSickConnections();
  /** As the last connection has shown. */
  let isLone = false;
  /** Each who uses a mailbox has it to himself, and selects it anew. */
  let bearsNoSharing = false;

  let shownValidity: ShownValidity = (_, told) => told;
  const welcome = (connection: ImapConnection): void => {
    manners.watch(connection);
    connection.shownValidity = (name, told) => shownValidity(name, told);
  };

  /** The background waits out a back-off, and holds nothing meanwhile. */
  const acquire = async (request: LeaseOptions): Promise<Permit> => {
    const mustConnect = (): boolean => pool.isEmpty && request.priority === "background";
    for (;;) {
      if (mustConnect()) await connector.waitOut(request.signal);
      const permit = await budget.acquire(user, request);
      if (!mustConnect() || !connector.isBackingOff) return permit;
      permit.release();
    }
  };

  const giveBack = (connection: ImapConnection | undefined, permit: Permit): void => {
    if (closing.signal.aborted) connection?.destroy(closing.signal.reason);
    if (connection && !connection.isClosed) pool.park(connection, permit);
    else permit.release();
  };

  /** A server may have less room than the budget: then who only waits gives up the connection that it waits on. */
  const connect = async (
    request: LeaseOptions,
    preferred: EncodedMailboxName | undefined,
  ): Promise<ImapConnection> => {
    try {
      const connection = await connector.connect(request);
      welcome(connection);
      return connection;
    } catch (error) {
      if (!isUnavailable(error) || request.signal.aborted) throw error;
      if (!budget.askToGiveWay(user, request)) throw error;
      await pool.parked(giveWayMs);
      const given = pool.take(preferred);
      if (!given) throw error;
      return given;
    }
  };

  const withConnection = async <T>(
    request: LeaseOptions,
    preferred: EncodedMailboxName | undefined,
    work: Work<T>,
    isSafeAgain: () => boolean,
  ): Promise<T> => {
    const signal = anyOf(request.signal, closing.signal);
    const permit = await acquire({ ...request, signal });
    let connection = pool.take(preferred);
    try {
      if (connection) {
        const responsesBefore = connection.responseCount;
        try {
          return await hold(connection, signal, work);
        } catch (error) {
          const wasDead = connection.isClosed && connection.responseCount === responsesBefore;
          const mayBeAsked = (wasDead && mayBeRetried(error)) || (isSafeAgain() && sick.isSign(error));
          if (!mayBeAsked || signal.aborted) throw error;
          if (!connection.isClosed) await connection.logout();
        }
      }
      connection = await connect({ ...request, signal }, preferred);
      return await hold(connection, signal, work);
    } catch (error) {
      if (sick.isSign(error) && connection && !connection.isClosed) await connection.logout();
      throw error;
    } finally {
      giveBack(connection, permit);
    }
  };

  /** As the only one of this user's sessions that does anything, where the server bears no more. */
  const alone = <T>({ quirks }: ImapConnection, work: (turn?: Turn) => Promise<T>): Promise<T> => {
    isLone = quirks.loneSessions;
    return isLone ? turns.take(work) : work();
  };

  /** For who takes the mailbox on a connection of his own. */
  const useMailbox: ImapSource["useMailbox"] = (name, request, work) => {
    let isBegun = false;
    const selectAndWork = (connection: ImapConnection, turn?: Turn) =>
      leaving(connection, async () => {
        const { quick, write, asSelected = false } = request;
        const options = { quick: quick === true, write: write === true, anew: !asSelected };
        const lease = await createMailboxLease(connection, name, options, turn);
        // What is asked for behind it is answered behind it.
        const asked = lease.isNew ? undefined : lease.ask();
        asked?.catch(() => undefined);
        isBegun = true;
        return work(lease).finally(() => asked);
      });
    return withConnection(
      request,
      name,
      (connection) => alone(connection, (turn) => selectAndWork(connection, turn)),
      () => !isBegun,
    );
  };
  const sharedOpen = new Set<ImapConnection>();
  const shared = createSharedMailboxes({
    async open(name, request, anew) {
      const signal = anyOf(request.signal, closing.signal);
      const permit = await acquire({ ...request, signal });
      try {
        const kept = anew ? undefined : pool.take(name);
        const connection = kept ?? (await connect({ ...request, signal }, name));
        sharedOpen.add(connection);
        return { connection, permit, wasKept: kept !== undefined };
      } catch (error) {
        permit.release();
        throw error;
      }
    },
    giveBack({ connection, permit }) {
      sharedOpen.delete(connection);
      if (connection.isBusy) connection.destroy(new MailError("UNAVAILABLE", "The lease has ended"));
      giveBack(connection, permit);
    },
    onRest: () => budget.noteRest(),
  });
  /** What takes long does not hold up the others, where that costs nobody any waiting. */
  const goesApart = (name: EncodedMailboxName, { apart, priority }: LeaseOptions): boolean => {
    if (apart !== true) return false;
    const state = shared.has(name);
    if (state === undefined) return priority === "background";
    return !pool.isEmpty || budget.hasRoom(user, priority);
  };
  const shareMailbox: ImapSource["shareMailbox"] = async (name, asked, work) => {
    const request = { ...asked, signal: anyOf(asked.signal, closing.signal) };
    if (bearsNoSharing || goesApart(name, request))
      return useMailbox(name, { ...request, asSelected: true }, work);
    let refusedBy: ImapConnection | undefined;
    const selectAndWork = async (connection: ImapConnection) => {
      const { frozenSessions, loneSessions } = connection.quirks;
      bearsNoSharing = frozenSessions || loneSessions;
      if (bearsNoSharing) return undefined;
      const { quick = false, write = false } = request;
      const lease = await createMailboxLease(connection, name, { quick, write }).catch((error: unknown) => {
        refusedBy = connection;
        throw error;
      });
      return { result: await work(lease) };
    };
    const done = await shared.use(name, request, selectAndWork).catch(async (error: unknown) => {
      if (!refusedBy || request.signal.aborted || !sick.isSign(error)) throw error;
      await refusedBy.logout();
      return shared.use(name, request, selectAndWork);
    });
    return done ? done.result : useMailbox(name, request, work);
  };
  const use: ImapSource["use"] = async (request, work) => {
    if (request.letsGo !== undefined) {
      sick.noteChange();
      await Promise.all([shared.letGo(request.letsGo), pool.letGo(request.letsGo)]);
    }
    const open = pool.isEmpty && !bearsNoSharing && request.apart !== true ? shared.anyFree() : undefined;
    if (open) return shared.use(open, request, (connection) => work(createLease(connection)));
    return withConnection(
      request,
      undefined,
      (connection) => alone(connection, () => work(createLease(connection))),
      () => true,
    );
  };

  const adopt = (proven: LegacyConnection): void => {
    connector.noteLogin();
    if (!proven.take()) return;
    welcome(proven.connection);
    if (closing.signal.aborted) void proven.connection.logout();
    else pool.adopt(proven.connection);
  };

  if (options.first) adopt(options.first);
  return {
    adopt,
    showAs: (shown) => {
      shownValidity = shown;
    },
    aside: (work) => (isLone ? turns.take(() => work(true)) : work(false)),
    use,
    useMailbox,
    shareMailbox,
    get isCrowded() {
      return budget.isCrowded;
    },
    isShared: (name) => shared.has(name) !== undefined,
    trouble() {
      // One login that was refused does not hide how it behaves otherwise.
      const told = [connector.trouble, manners.told()].filter((text) => text !== undefined);
      return told.length === 0 ? undefined : told.join("; ");
    },
    async close() {
      const reason = new MailError("UNAVAILABLE", "The connections to the old server are being closed");
      closing.abort(reason);
      for (const connection of sharedOpen) connection.destroy(reason);
      await pool.close();
    },
  };
}

async function leaving<T>(connection: ImapConnection, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await leaveMailbox(connection);
  }
}

async function hold<T>(connection: ImapConnection, signal: AbortSignal, work: Work<T>): Promise<T> {
  const abort = (): void => connection.destroy(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    return await work(connection);
  } finally {
    signal.removeEventListener("abort", abort);
    if (connection.isBusy) connection.destroy(new MailError("UNAVAILABLE", "The lease has ended"));
  }
}
