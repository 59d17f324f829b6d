/**
 * Where there are fewer connections than users, those on which somebody only waits for news are passed on from one
 * to the next in turn: each is kept for half a minute, and not all are passed on at once.
 */
export interface Rotation {
  /** Somebody wants one to wait on. */
  begin(): void;
}

const turnMs = 30_000;

/** `count`: how many are kept so, 0 while nobody wants one. `passOn` takes one that is kept since before then. */
export function createRotation(count: () => number, passOn: (since: number) => void): Rotation {
  let timer: NodeJS.Timeout | undefined;
  const next = (): void => {
    timer = undefined;
    const kept = count();
    if (kept === 0) return;
    passOn(performance.now() - turnMs);
    timer = setTimeout(next, turnMs / kept).unref();
  };
  return {
    begin() {
      if (timer === undefined) timer = setTimeout(next, turnMs).unref();
    },
  };
}
