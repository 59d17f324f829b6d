/** Those who hear of committed changes of one mailbox. */
import type { MailboxEvent } from "./mailbox-state.ts";

export interface MailboxListeners {
  subscribe(listener: (event: MailboxEvent) => void): () => void;
  /** An event about no message is none. */
  emit(event: MailboxEvent): void;
}

/** What has happened is done, whatever one of those who hear of it makes of that: `onFailure` is told. */
export function createMailboxListeners(
  onFailure: (error: unknown, event: MailboxEvent) => void,
): MailboxListeners {
  const listeners = new Set<(event: MailboxEvent) => void>();
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    emit(event) {
      if ("uids" in event && event.uids.length === 0) return;
      for (const listener of listeners) {
        try {
          listener(event);
        } catch (error) {
          onFailure(error, event);
        }
      }
    },
  };
}
