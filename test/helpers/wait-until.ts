import { setTimeout as delay } from "node:timers/promises";

/** Polls until `probe` gives something other than undefined or false; rejects at the deadline. */
export async function waitUntil<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let pauseMs = 2;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await delay(pauseMs);
    pauseMs = Math.min(pauseMs * 1.5, 50);
  }
}
