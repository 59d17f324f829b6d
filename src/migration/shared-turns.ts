/**
 * Work that has a mailbox to itself, and work that shares it with its like, each in the order in which it came:
 * whoever comes behind `exclusive` work waits for it, and that waits for all that came before.
 */
export interface SharedTurns {
  /** `waited`: others were inside since the call. */
  exclusive<T>(work: (waited: boolean) => Promise<T>): Promise<T>;
  shared<T>(work: () => Promise<T>): Promise<T>;
}

export function createSharedTurns(): SharedTurns {
  let lastExclusive: Promise<unknown> = Promise.resolve();
  /** Since then. */
  let sharing = new Set<Promise<unknown>>();
  let inside = 0;

  const entered = (): void => {
    inside++;
  };
  const left = (): void => {
    inside--;
  };
  return {
    exclusive(work) {
      const waited = inside > 0;
      entered();
      const before = [lastExclusive, ...sharing];
      sharing = new Set();
      const done = Promise.all(before).then(() => work(waited));
      lastExclusive = done.catch(() => undefined).finally(left);
      return done;
    },
    shared(work) {
      entered();
      const done = lastExclusive.then(work);
      const ended: Promise<unknown> = done
        .catch(() => undefined)
        .finally(() => {
          left();
          sharing.delete(ended);
        });
      sharing.add(ended);
      return done;
    },
  };
}
