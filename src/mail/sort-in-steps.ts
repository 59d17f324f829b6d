/** Called now and then in a long computation: others go first. */
export type Pause = () => Promise<void>;

/** Sorted at once, and looked at before others get a turn. */
const itemsPerTurn = 5_000;

/** A merge sort that lets others go first now and then. */
export async function sortInSteps<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  pause: Pause,
): Promise<readonly T[]> {
  let runs: T[][] = [];
  for (let from = 0; from < items.length; from += itemsPerTurn) {
    runs.push(items.slice(from, from + itemsPerTurn).sort(compare));
    await pause();
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? [], compare, pause));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
  pause: Pause,
): Promise<T[]> {
  const merged: T[] = [];
  let right = 0;
  for (const item of a) {
    for (; right < b.length && compare(b[right] as T, item) < 0; right++) merged.push(b[right] as T);
    merged.push(item);
    if (merged.length % itemsPerTurn === 0) await pause();
  }
  return merged.concat(b.slice(right));
}
