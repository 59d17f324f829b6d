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
