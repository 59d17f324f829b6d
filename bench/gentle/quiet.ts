/** Waiting until servers have done what was begun, so that it is counted where it belongs. */
import { setTimeout as delay } from "node:timers/promises";

export interface Busy {
  /** Of all its processes so far. */
  cpuMs(): number;
  /** Less than this in the time of `quietMs` is no work. */
  readonly idleMs: number;
}

/** Longer than the half second that Dovecot lets pass before it tells an idling session of a change. */
const quietMs = 800;
const lookMs = 50;
const patienceMs = 6_000;

/** Until all have been quiet for a while, or patience ends. */
export async function untilQuiet(servers: readonly Busy[]): Promise<void> {
  const deadline = performance.now() + patienceMs;
  let since = performance.now();
  let before = servers.map((server) => server.cpuMs());
  while (performance.now() < Math.min(since + quietMs, deadline)) {
    await delay(lookMs);
    const now = servers.map((server) => server.cpuMs());
    if (!servers.some(({ idleMs }, index) => (now[index] ?? 0) - (before[index] ?? 0) > idleMs)) continue;
    since = performance.now();
    before = now;
  }
}
