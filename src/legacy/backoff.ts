/**
 * After a failure no new try is made for a while: one second at first, twice as long each time, a minute
 * at most, with some scatter. One success ends it. Only the background waits that long; a client's try is
 * put off for a moment only.
 */
import { setTimeout as delay } from "node:timers/promises";

export interface Backoff {
  /** The last failure, while it is so fresh that a client's try would meet it again. */
  readonly failure: unknown;
  /** Resolves once a try may be made; rejects with the signal's reason. */
  wait(signal: AbortSignal): Promise<void>;
  noteFailure(error: unknown): void;
  noteSuccess(): void;
}

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** A user who tries again after this long is not put off by an old failure: the server may be back. */
const failFastMs = 250;

export function createBackoff(
  { firstMs, maxMs }: BackoffLimits = { firstMs: 1_000, maxMs: 60_000 },
): Backoff {
  let failure: unknown;
  let pauseMs = 0;
  let until = 0;
  let failFastUntil = 0;
  const remainingMs = (): number => Math.max(until, failFastUntil) - performance.now();

  return {
    get failure() {
      return performance.now() < failFastUntil ? failure : undefined;
    },
    async wait(signal) {
      for (let pause = remainingMs(); pause > 0; pause = remainingMs()) {
        await delay(Math.ceil(pause), undefined, { signal }).catch((error: unknown) => {
          throw signal.aborted ? signal.reason : error;
        });
      }
    },
    noteFailure(error) {
      // Several tries may fail together: they count as one.
      const isFurther = until > performance.now();
      failFastUntil = performance.now() + Math.min(firstMs * 0.8, failFastMs);
      if (isFurther) return;
      failure = error;
      pauseMs = Math.min(pauseMs === 0 ? firstMs : pauseMs * 2, maxMs);
      until = performance.now() + pauseMs * (0.8 + 0.4 * Math.random());
    },
    noteSuccess() {
      pauseMs = 0;
      until = 0;
      failFastUntil = 0;
    },
  };
}
