/** IDLE (RFC 2177): waits for the server to say that something in the selected mailbox has changed. */
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import type { Untagged } from "./untagged.ts";

/** RFC 2177 3: servers log out who idles for 30 minutes. */
const maxIdleMs = 25 * 60_000;

/** Resolves at the first news, when `until` is aborted, or after 25 minutes. */
export async function idle(connection: ImapConnection, until: AbortSignal): Promise<void> {
  let send: ((text: string) => void) | undefined;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    // Before the server's `+` nothing may be sent: then DONE follows it.
    send?.("DONE\r\n");
    send = undefined;
  };
  const timer = setTimeout(end, maxIdleMs);
  until.addEventListener("abort", end, { once: true });
  if (until.aborted) isOver = true;
  try {
    const tagged = await connection.run({
      parts: ["IDLE"],
      mayBeSilent: () => !isOver,
      onContinue(sendText) {
        send = sendText;
        if (isOver) end();
      },
      onUntagged(untagged) {
        if (isNews(untagged) && !isOver) end();
        return false;
      },
    });
    expectOk(tagged);
  } finally {
    clearTimeout(timer);
    until.removeEventListener("abort", end);
  }
}

/** Not `* OK Still here`, which keeps the line open. */
function isNews(untagged: Untagged): boolean {
  if (untagged.kind === "fetch") return true;
  if (untagged.kind === "count") return untagged.name === "EXISTS" || untagged.name === "EXPUNGE";
  return untagged.kind === "data" && untagged.name === "VANISHED";
}
