/**
 * IDLE (RFC 2177) beside other commands: while somebody watches the selected mailbox the connection idles whenever
 * nothing else is asked on it. Any command ends IDLE by itself (`DONE` goes out in one write with it, see
 * command-queue.ts), and IDLE is taken up again once the connection has been quiet for a moment: commands that
 * follow each other cost the server no IDLE in between, and their answers tell the news as well.
 */
import { rest } from "../waiting.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";

/** RFC 2177 3: servers log out who idles for 30 minutes. */
const maxIdleMs = 29 * 60_000;
const quietMs = 200;

/** Idles until `until` is aborted, or the connection is closed; then the connection is out of IDLE. */
export async function keepIdling(connection: ImapConnection, until: AbortSignal): Promise<void> {
  let restMs = shortMs;
  while (!until.aborted) {
    await quiet(connection, until);
    const beganAt = performance.now();
    if (!until.aborted) await idleOnce(connection, until);
    const isOurEnd = until.aborted || connection.askedAt >= beganAt;
    if (isOurEnd) continue;
    const isShort = performance.now() - beganAt < shortMs;
    if (isShort) await rest(restMs, until);
    restMs = isShort ? Math.min(2 * restMs, longestRestMs) : shortMs;
  }
}

/** A server that ends IDLE by itself, and at once, is not asked for it again and again: it is a look from time to time. */
const shortMs = 1_000;
const longestRestMs = 15_000;

/** Resolves when nothing was asked for a moment, or at `until`. */
async function quiet(connection: ImapConnection, until: AbortSignal): Promise<void> {
  for (;;) {
    const restMs = connection.isBusy ? quietMs : quietMs - (performance.now() - connection.askedAt);
    if (restMs <= 0 || until.aborted || connection.isClosed) return;
    await rest(restMs, until);
  }
}

async function idleOnce(connection: ImapConnection, until: AbortSignal): Promise<void> {
  const end = (): void => connection.endLasting();
  const timer = setTimeout(end, maxIdleMs);
  until.addEventListener("abort", end, { once: true });
  try {
    expectOk(await connection.run({ parts: ["IDLE"], endedBy: "DONE\r\n" }));
  } finally {
    clearTimeout(timer);
    until.removeEventListener("abort", end);
  }
}
