/** Waiting on what several share, each with its own patience. */
import { setTimeout as delay } from "node:timers/promises";

const sources = new WeakMap<AbortSignal, readonly AbortSignal[]>();

/**
 * AbortSignal.any, which keeps its signals alive: Node 24 looks at them only when it is asked, and misses the abort of
 * one that was collected before that.
 */
export function anyOf(...signals: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([...signals]);
  sources.set(signal, signals);
  return signal;
}

/** The outcome of `shared`, unless `signal` aborts this one's waiting first; the work itself goes on. */
export async function waitWith<T>(shared: Promise<T>, signal: AbortSignal): Promise<T> {
  // Who has left does not hear of its failure, which must not become nobody's.
  shared.catch(() => undefined);
  signal.throwIfAborted();
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([shared, aborted]);
  } finally {
    if (stop) signal.removeEventListener("abort", stop);
  }
}

/**
 * Single flight that never answers with stale work: a caller during a run waits for one further run,
 * shared by all who asked meanwhile, since the running one may have looked before they asked.
 */
export function singleFlight<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  const start = (): Promise<T> => {
    running = work().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    // A run that is over, and the next one about to start: it has not looked yet.
    if (next) return next;
    if (!running) return start();
    next = running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return start();
      });
    return next;
  };
}

/** Runs what it is given one at a time, in the order of the calls. */
export function takeTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };
}

/** Rejects with the signal's reason when that comes first. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** Resolves after so long, or at `until`. */
export function rest(ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      until.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (until.aborted) end();
    else until.addEventListener("abort", end);
  });
}

/** Lets other work of this process run: between pieces of a long computation. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface Pipeline {
  /** Takes one more piece of work; resolves when there is room for the next. Rejects when one failed. */
  add(work: Promise<void>): Promise<void>;
  /** Resolves when all are done; rejects with the first failure once all have ended. */
  drain(): Promise<void>;
}

/** Keeps up to `depth` pieces of work in flight, in order; no failure goes unseen or unhandled. */
export function createPipeline(depth: number): Pipeline {
  const inFlight: Promise<void>[] = [];
  return {
    async add(work) {
      work.catch(() => undefined);
      inFlight.push(work);
      if (inFlight.length >= depth) await inFlight.shift();
    },
    async drain() {
      const results = await Promise.allSettled(inFlight.splice(0));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    },
  };
}
