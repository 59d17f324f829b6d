import { setTimeout as delay } from "node:timers/promises";

/** Before each look. */
const pausesMs = [0, 250, 750, 1_500] as const;

/**
 * Finds out about a change whose answer was lost. A server that lost its client may still be at work on the
 * command: while nothing is found, it is looked for again. Rejects with what `look` rejects with.
 */
export async function lookAgain<Found>(
  signal: AbortSignal,
  look: () => Promise<Found | undefined>,
): Promise<Found | undefined> {
  for (const pauseMs of pausesMs) {
    await delay(pauseMs, undefined, { signal });
    const found = await look();
    if (found !== undefined) return found;
  }
  return undefined;
}
