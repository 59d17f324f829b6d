/**
 * How often a server is asked about what it tells in IDLE. There are some that tell something at once whenever IDLE
 * begins: a few looks are free, then there is one a second, and longer pauses where look after look finds nothing.
 */
import { rest } from "../waiting.ts";

export interface NewsPace {
  /** Resolves when the next look may be, or at `ended`. */
  turn(ended: AbortSignal): Promise<void>;
  /** It is over. */
  noteLook(hasFound: boolean): void;
}

const freeLooks = 4;
const lookMs = 1_000;
/** As where there is no IDLE at all. */
const longestMs = 15_000;

export function createNewsPace(): NewsPace {
  let looks = freeLooks;
  let countedAt = performance.now();
  let endedAt = Number.NEGATIVE_INFINITY;
  /** One behind the other. */
  let fruitless = 0;

  const restMs = (): number =>
    fruitless < freeLooks ? 0 : Math.min(lookMs * 2 ** (fruitless - freeLooks), longestMs);
  const waitMs = (now: number): number => {
    if (now - endedAt > restMs() + 2 * lookMs) fruitless = 0;
    looks = Math.min(freeLooks, looks + (now - countedAt) / lookMs);
    countedAt = now;
    return Math.max((1 - looks) * lookMs, endedAt + restMs() - now);
  };
  return {
    async turn(ended) {
      const ms = waitMs(performance.now());
      if (ms > 0) await rest(ms, ended);
      looks--;
    },
    noteLook(hasFound) {
      endedAt = performance.now();
      fruitless = hasFound ? 0 : fruitless + 1;
    },
  };
}
