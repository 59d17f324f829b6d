/**
 * All connections of one user to the old IMAP server (see source.ts): a pool within the host's budget.
 *
 * What always holds
 * - A lease's connection is used by nobody else, and goes back to the pool only when nothing is in
 *   flight on it. An aborted lease loses its connection.
 * - Nothing is waited for while holding a permit, but the server.
 */
import { isUnavailable, MailError } from "../errors.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { anyOf } from "../waiting.ts";
import type { Permit } from "./budget.ts";
import { type ConnectorOptions, createConnector } from "./connector.ts";
import { createIdlePool } from "./idle-pool.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { createLease, createMailboxLease } from "./lease.ts";
import { createManners } from "./manners.ts";
import type { LegacyConnection } from "./prove-login.ts";
import { leaveMailbox } from "./selected-mailbox.ts";
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
  /** As the last connection has shown. */
  let isLone = false;

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
      manners.watch(connection);
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
          if (!wasDead || signal.aborted || !isUnavailable(error)) throw error;
        }
      }
      connection = await connect({ ...request, signal }, preferred);
      return await hold(connection, signal, work);
    } finally {
      giveBack(connection, permit);
    }
  };

  /** As the only one of this user's sessions that does anything, where the server bears no more. */
  const alone = <T>({ quirks }: ImapConnection, work: (turn?: Turn) => Promise<T>): Promise<T> => {
    isLone = quirks.loneSessions;
    return isLone ? turns.take(work) : work();
  };

  const adopt = (proven: LegacyConnection): void => {
    connector.noteLogin();
    if (!proven.take()) return;
    manners.watch(proven.connection);
    if (closing.signal.aborted) void proven.connection.logout();
    else pool.adopt(proven.connection);
  };

  if (options.first) adopt(options.first);
  return {
    adopt,
    aside: (work) => (isLone ? turns.take(() => work(true)) : work(false)),
    use: (request, work) =>
      withConnection(request, undefined, (connection) =>
        alone(connection, () => work(createLease(connection))),
      ),
    useMailbox: (name, request, work) =>
      withConnection(request, name, (connection) =>
        alone(connection, (turn) =>
          leaving(connection, async () => work(await createMailboxLease(connection, name, request, turn))),
        ),
      ),
    trouble: () => connector.trouble ?? manners.told(),
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "The connections to the old server are being closed"));
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
