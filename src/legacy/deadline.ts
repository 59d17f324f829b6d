/** Calls `onExpired` so long after the last `restart`; a process that ends does not wait for it. */
export function createDeadline(timeoutMs: number, onExpired: () => void): { restart(): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  return {
    restart() {
      if (timer) timer.refresh();
      else timer = setTimeout(onExpired, timeoutMs).unref();
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
