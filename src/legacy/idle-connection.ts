/**
 * An open connection that nobody holds. It closes itself when it was not taken for a while, when the
 * budget needs its place, and when the server closes it.
 */
import type { ImapConnection } from "./imap-connection.ts";

export interface IdleConnection {
  readonly connection: ImapConnection;
  /** Makes it the caller's; false when it is closed, closing or taken. */
  take(): boolean;
  close(): Promise<void>;
}

/** `onGone` is called once, when it is taken or begins to close. */
export function createIdleConnection(
  connection: ImapConnection,
  idleMs: number,
  onGone: () => void,
): IdleConnection {
  let isHere = true;
  const take = (): boolean => {
    if (!isHere) return false;
    isHere = false;
    clearTimeout(timer);
    onGone();
    return !connection.isClosed;
  };
  const close = async (): Promise<void> => {
    if (take()) await connection.logout();
  };
  const timer = setTimeout(() => void close(), idleMs).unref();
  void connection.closed.then(take);
  return { connection, take, close };
}
