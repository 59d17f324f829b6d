/** Files of expunged messages on their way off the disk, where the next start or another server would find them. */

export interface FileRemovals {
  /** Starts one; it does not reject. Resolves true when it is done. */
  start(work: () => Promise<void>): Promise<boolean>;
  /** Under way, or failed: they are found and removed again after the next opening. */
  readonly count: number;
  /** Resolves when none is under way. */
  ended(): Promise<void>;
}

export function createFileRemovals(onFailure: (error: unknown) => void): FileRemovals {
  let count = 0;
  let all: Promise<unknown> = Promise.resolve();
  const run = async (work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      count--;
      return true;
    } catch (error) {
      onFailure(error);
      return false;
    }
  };
  return {
    start(work) {
      count++;
      const done = run(work);
      all = Promise.all([all, done]);
      return done;
    },
    get count() {
      return count;
    },
    ended: async () => void (await all),
  };
}
