/**
 * A client that has selected a mailbox asks on at once, and the connection on which the old server has it selected is
 * there for that. What else is to be done begins a moment later: it would take that connection, or a new one, and
 * Dovecot reads a whole Maildir anew when it is asked for names and for that mailbox by turns.
 */
export const clientFirstMs = 200;

/** Calls `begin` after so long, now if that is 0; what is returned takes it back, or ends what has begun. */
export function soon(delayMs: number, begin: () => () => void): () => void {
  if (delayMs === 0) return begin();
  let end = (): void => clearTimeout(timer);
  const timer = setTimeout(() => {
    end = begin();
  }, delayMs);
  return () => end();
}
