/**
 * INBOX is watched while a session has any mailbox open: new mail comes there first, and is here already when a
 * client asks for it.
 */
import { isUnavailable } from "../errors.ts";
import type { Logger } from "../log.ts";
import { inbox } from "../mail/ids.ts";
import type { Mirror } from "../migration/mirror.ts";

/** Watches until what is returned is called. */
export function watchInbox(mirror: Mirror, logger: Logger): () => void {
  const ended = new AbortController();
  let stop = (): void => undefined;
  mirror
    .mailbox(inbox, ended.signal)
    .then((mailbox) => {
      if (!ended.signal.aborted) stop = mailbox.watch({ standby: true });
    })
    .catch((error: unknown) => {
      if (ended.signal.aborted || isUnavailable(error)) return;
      logger.warn({ err: error }, "INBOX is not watched");
    });
  return () => {
    ended.abort();
    stop();
  };
}
