/**
 * Tells linear work from quadratic by the clock: how much longer per byte eight times the input takes, 1
 * being linear and 8 quadratic. The best of several runs counts, so that a busy machine does not.
 */
export function growthOf<T>(
  work: (input: T) => unknown,
  make: (bytes: number) => T,
  smallBytes = 8 << 10,
): number {
  const small = make(smallBytes);
  const large = make(smallBytes * 8);
  const smallMs = bestOf(() => work(small));
  const largeMs = bestOf(() => work(large));
  // Below a millisecond it is quick enough, whatever its shape.
  return largeMs < 1 ? 1 : largeMs / smallMs / 8;
}

function bestOf(work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 7; run++) {
    const started = performance.now();
    work();
    best = Math.min(best, performance.now() - started);
  }
  return best;
}
