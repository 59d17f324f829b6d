/** One after the other, in the order of the calls. */
export interface Turns {
  take<T>(work: (turn: Turn) => Promise<T>): Promise<T>;
}

export interface Turn {
  /** Others wait for theirs. */
  readonly isWanted: boolean;
}

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  let count = 0;
  const turn: Turn = {
    get isWanted() {
      return count > 1;
    },
  };
  return {
    take(work) {
      count++;
      const done = last.then(() => work(turn));
      last = done
        .catch(() => undefined)
        .finally(() => {
          count--;
        });
      return done;
    },
  };
}
