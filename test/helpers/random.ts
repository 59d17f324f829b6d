/** Repeatable randomness: everything that the filler makes is a function of one seed. */
export interface Random {
  /** 0 <= value < 1. */
  next(): number;
  /** 0 .. below-1. */
  below(limit: number): number;
  pick<T>(choices: readonly T[]): T;
  chance(probability: number): boolean;
  words(count: number): string;
}

const vocabulary = (
  "meeting invoice garden travel project quarter budget window harbour letter answer morning contract " +
  "summer family delivery report minutes question ticket kitchen printer network update music history"
).split(" ");

/** mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  const pick = <T>(choices: readonly T[]): T => choices[below(choices.length)] as T;
  return {
    next,
    below,
    pick,
    chance: (probability) => next() < probability,
    words: (count) => Array.from({ length: count }, () => pick(vocabulary)).join(" "),
  };
}
