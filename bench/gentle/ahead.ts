/** Going ahead of others on the machine, for root: small differences can be seen although the cores are not ours. */

import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";

const nice = -15;

/**
 * A process and what it starts from now on. Where Linux shares the cores among sessions (autogroup) it is the
 * session's place that counts.
 */
export function goAhead(pid: number): void {
  setPriority(pid, nice);
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
