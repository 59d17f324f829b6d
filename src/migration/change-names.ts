/** Changes of names, written through to the legacy server. */
import { MailError, OutcomeUnknown } from "../errors.ts";
import type { ImapSource, Listing } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import type { NameChange } from "../mail/name-change.ts";
import type { Authority } from "./authority.ts";
import { lookAgain } from "./look-again.ts";

export interface NameChangeOptions {
  readonly source: ImapSource;
  readonly logger: Logger;
  /** Of the account: a change that was begun is brought to its end though the client has left. */
  readonly signal: AbortSignal;
  /** The names as last seen. */
  readonly keptNames: () => Listing | undefined;
  /** Fetches the names anew and commits them. */
  readonly refreshNames: () => Promise<Listing>;
  /** What was renamed there is renamed here, and need not be pulled again. */
  readonly followRename: (from: EncodedMailboxName, to: EncodedMailboxName) => Promise<void>;
  /** These names are to go: that was answered OK, or nobody knows. */
  readonly expectGone: (names: readonly EncodedMailboxName[], outcome: "done" | "unknown") => void;
  /** The names are not looked at meanwhile: one mailbox would have gone, and another come. */
  readonly unseen: <T>(work: () => Promise<T>) => Promise<T>;
}

export function createNameChanges(options: NameChangeOptions): Pick<Authority, "changeName"> {
  const { source, logger, signal, keptNames, refreshNames, followRename, unseen, expectGone } = options;

  /** The truth about a change whose answer never came. */
  const findOut = async (change: NameChange, before: Listing | undefined, lost: OutcomeUnknown) => {
    // What was so before says nothing, but of changes that may be made twice.
    const isIdempotent = change.kind === "SUBSCRIBE" || change.kind === "UNSUBSCRIBE";
    const wasSeen = !isIdempotent && before !== undefined && isSeen(change, before);
    const look = async (): Promise<true | undefined> => {
      if (change.kind === "DELETE") expectGone([change.name], "unknown");
      return (isSeen(change, await refreshNames()) && !wasSeen) || undefined;
    };
    const done = await lookAgain(signal, look).catch((cause: unknown) => {
      throw new OutcomeUnknown(cause);
    });
    if (!done) throw new MailError("UNAVAILABLE", lost.message, lost);
  };

  const changeThere = (change: NameChange): Promise<void> =>
    source.use({ priority: "interactive", signal, ...lettingGo(change) }, (lease) =>
      lease.changeName(change),
    );
  const rename = async (change: NameChange & { readonly kind: "RENAME" }): Promise<void> => {
    await changeThere(change);
    await followRename(change.name, change.to);
  };

  return {
    async changeName(change) {
      const before = keptNames();
      try {
        await (change.kind === "RENAME" ? unseen(() => rename(change)) : changeThere(change));
      } catch (error) {
        if (error instanceof OutcomeUnknown) return findOut(change, before, error);
        throw error;
      }
      if (change.kind === "DELETE") expectGone([change.name], "done");
      await refreshNames().catch((error: unknown) =>
        // It is done there; the next listing brings it here.
        logger.warn({ err: error, change: change.kind }, "names were changed and could not be listed"),
      );
    },
  };
}

/** A server may go on showing what is no more to a session that has it open, or refuse the change. */
function lettingGo({ kind, name }: NameChange): { readonly letsGo?: EncodedMailboxName } {
  return kind === "DELETE" || kind === "RENAME" || kind === "CREATE" ? { letsGo: name } : {};
}

/** Whether the names are as the change leaves them. */
function isSeen(change: NameChange, { mailboxes, subscriptions }: Listing): boolean {
  const has = (list: Listing["mailboxes"], name: string): boolean =>
    // CREATE takes a separator at the end, which says that there will be names below (RFC 3501 6.3.3).
    list.some((entry) => entry.name === name || entry.name + entry.separator === name);
  switch (change.kind) {
    case "CREATE":
      return has(mailboxes, change.name);
    case "DELETE":
      return !has(mailboxes, change.name);
    case "RENAME":
      return has(mailboxes, change.to);
    case "SUBSCRIBE":
      return has(subscriptions, change.name);
    case "UNSUBSCRIBE":
      return !has(subscriptions, change.name);
  }
}
