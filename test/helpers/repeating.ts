/** Repeats until it is told to stop; how often it was. */
export function repeating(work: (round: number) => Promise<unknown>): { stop(): Promise<number> } {
  let isOver = false;
  const done = (async () => {
    let rounds = 0;
    while (!isOver) await work(rounds++);
    return rounds;
  })();
  return {
    stop() {
      isOver = true;
      return done;
    },
  };
}
