/** Holds changes of one account back for the moment in which their authority is exchanged. */
import { AsyncLocalStorage } from "node:async_hooks";
import { MailError } from "../errors.ts";
import { waitWith } from "../waiting.ts";

export interface WriteGate {
  /** Runs `work` now, or once the gate is open again. What is part of work that has passed it, passes. */
  pass<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Lets nothing begin any more; resolves when what had begun has ended. Rejects with the signal's reason, with the
   * gate open again.
   */
  close(signal: AbortSignal): Promise<void>;
  /** Idempotent; nothing opens it once it has failed. */
  open(): void;
  /** What waits, and what comes, is refused, for good. */
  fail(reason: unknown): void;
}

export function createWriteGate(): WriteGate {
  const running = new Set<Promise<unknown>>();
  const inside = new AsyncLocalStorage<true>();
  let closed: PromiseWithResolvers<void> | undefined;
  let hasFailed = false;
  const open = (): void => {
    if (hasFailed) return;
    closed?.resolve();
    closed = undefined;
  };
  return {
    async pass(work) {
      if (inside.getStore()) return work();
      while (closed) await closed.promise;
      const result = inside.run(true, work);
      const ended = result.catch(() => undefined).finally(() => running.delete(ended));
      running.add(ended);
      return result;
    },
    async close(signal) {
      if (closed) throw new MailError("INUSE", "changes are held back already");
      closed = Promise.withResolvers();
      closed.promise.catch(() => undefined);
      try {
        await waitWith(Promise.all(running), signal);
      } catch (error) {
        open();
        throw error;
      }
    },
    open,
    fail(reason) {
      hasFailed = true;
      closed ??= Promise.withResolvers();
      closed.promise.catch(() => undefined);
      closed.reject(reason);
    },
  };
}
