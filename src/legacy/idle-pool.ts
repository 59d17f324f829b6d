/** One user's idle connections, each with its place in the host's budget. */
import type { EncodedMailboxName } from "../mail/ids.ts";
import type { ConnectionBudget, IdlePlace, Permit } from "./budget.ts";
import { createIdleConnection, type IdleConnection } from "./idle-connection.ts";
import type { ImapConnection } from "./imap-connection.ts";

export interface IdlePool {
  readonly isEmpty: boolean;
  /** Keeps a connection whose holder gives up `permit`. */
  park(connection: ImapConnection, permit: Permit): void;
  /** Keeps one that was opened elsewhere, or closes it when the budget has no room. */
  adopt(connection: ImapConnection): void;
  /** The one that has the mailbox selected, else the one used last; undefined when there is none. */
  take(preferred: EncodedMailboxName | undefined): ImapConnection | undefined;
  /** Closes those that have the mailbox selected. */
  letGo(name: EncodedMailboxName): Promise<void>;
  /** Resolves when a connection has been parked, or after so long. */
  parked(withinMs: number): Promise<void>;
  close(): Promise<void>;
}

export function createIdlePool(budget: ConnectionBudget, user: string, idleMs: number): IdlePool {
  const idle = new Set<IdleConnection>();
  const waiting = new Set<() => void>();

  const add = (
    connection: ImapConnection,
    findPlace: (close: () => Promise<void>) => IdlePlace | undefined,
  ): void => {
    const entry = createIdleConnection(connection, idleMs, () => {
      idle.delete(entry);
      place?.leave();
    });
    const place = findPlace(() => entry.close());
    if (!place) return void entry.close();
    idle.add(entry);
    for (const wake of [...waiting]) wake();
  };

  return {
    get isEmpty() {
      return idle.size === 0;
    },
    park: (connection, permit) => add(connection, (close) => permit.releaseIdle(close)),
    adopt: (connection) => add(connection, (close) => budget.addIdle(user, close)),
    take(preferred) {
      const latestFirst = [...idle].reverse();
      const selected = latestFirst.filter(({ connection }) => connection.selected === preferred);
      for (const entry of [...selected, ...latestFirst]) if (entry.take()) return entry.connection;
      return undefined;
    },
    async letGo(name) {
      const holding = [...idle].filter(({ connection }) => connection.selected === name);
      await Promise.all(holding.map((entry) => entry.close()));
    },
    parked(withinMs) {
      return new Promise((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, withinMs);
        waiting.add(wake);
      });
    },
    async close() {
      for (const wake of [...waiting]) wake();
      await Promise.all([...idle].map((entry) => entry.close()));
    },
  };
}
