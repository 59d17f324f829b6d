import type { Uid } from "../mail/ids.ts";

/** So many percent of them, chosen at random, in their order; of a few at least one, unless none are wanted. */
export function sampleOf<T>(items: readonly T[], percent: number): readonly T[] {
  const wanted = Math.ceil((items.length * percent) / 100);
  if (wanted >= items.length) return items;
  let missing = wanted;
  // Each is taken with the chance that leaves exactly the wanted number (Knuth, TAOCP 3.4.2, algorithm S).
  return items.filter((_, index) => {
    const isTaken = Math.random() * (items.length - index) < missing;
    if (isTaken) missing--;
    return isTaken;
  });
}

/** And as many others. */
const highest = 5;

/** Ascending: the highest, where new mail gets UIDs that were given before, and as many of the others. */
export function sampleWithHighest(uids: readonly Uid[]): readonly Uid[] {
  const others = uids.slice(0, -highest);
  const step = Math.max(1, Math.ceil(others.length / highest));
  const offset = Math.floor(Math.random() * step);
  return [...others.filter((_, index) => index % step === offset), ...uids.slice(-highest)];
}
