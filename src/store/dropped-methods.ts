/** The store's methods for what others do in a local mailbox's folder. */
import { MailError } from "../errors.ts";
import { uid } from "../mail/ids.ts";
import { uidlistLock } from "./dotlock.ts";
import {
  flagsOfFile,
  forgetUnfinished,
  hasDropped,
  type TakePlace,
  takeDropped,
  watchFolder,
} from "./dropped-mail.ts";
import { hasChanged } from "./folder-changes.ts";
import { scanFolder } from "./folder-scan.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import { nameAsOurs } from "./name-as-ours.ts";
import type { AccountStore, MailboxRecord } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { storing } from "./store-errors.ts";
import { underUidlistLock } from "./uidlist-lock.ts";

/** A client that looks for new mail waits so long for who else gives UIDs: a lock that was left is stale in 2 minutes. */
const patienceMs = 5_000;

interface DroppedParts {
  readonly current: (mailbox: MailboxRecord) => MailboxFolder;
  readonly track: <T>(work: () => Promise<T>) => Promise<T>;
  readonly lineWriter: (folder: MailboxFolder, mailbox: MailboxRecord) => TakePlace["writeLines"];
  readonly signal: AbortSignal;
}

export function droppedMethods(context: StoreContext, { current, track, lineWriter, signal }: DroppedParts) {
  const isUnchanged = (folder: MailboxFolder): boolean =>
    folder.scanned && !hasDropped(folder) && folder.young.size === 0 && !hasChanged(folder);
  return {
    isUnchanged: (mailbox) => storing(() => isUnchanged(current(mailbox))),
    lookAround: (mailbox) =>
      track(async () => {
        const folder = current(mailbox);
        const young = folder.young.size;
        forgetUnfinished(folder);
        const isScanned = !folder.scanned || hasChanged(folder);
        if (isScanned) await scanFolder(folder);
        return {
          isScanned: isScanned || folder.young.size < young,
          hasMail: hasDropped(folder),
          isUnfinished: folder.young.size > 0,
        };
      }),
    takeDropped: (record, taking) =>
      track(async () => {
        const folder = current(record);
        const place = { context, folder, record, writeLines: lineWriter(folder, record) };
        const times = { ...uidlistLock, waitMs: patienceMs };
        return underUidlistLock(folder, signal, () => takeDropped(place, taking), times).catch((error) => {
          if (!(error instanceof MailError) || error.code !== "INUSE") throw error;
          context.logger.warn({ err: error }, "new mail has to wait");
          return { messages: [], isMore: false };
        });
      }),
    flagsOfFile: (mailbox, before, fileName) =>
      storing(() => flagsOfFile(current(mailbox), before, fileName)),
    nameAsOurs: (mailbox, messages) => track(() => nameAsOurs(context, current(mailbox), messages)),
    lockUids: (mailbox, work) => underUidlistLock(current(mailbox), signal, work),
    listedUidNext: (mailbox) =>
      track(async () => {
        const folder = current(mailbox);
        await folder.listed.read(folder.path, folder.uidValidity);
        return uid(folder.listed.uidNext);
      }),
    watchFolder: (mailbox, onChange) =>
      storing(() =>
        watchFolder(current(mailbox), onChange, (error) =>
          context.logger.debug({ err: error }, "new mail is not watched any more"),
        ),
      ),
  } satisfies Partial<AccountStore>;
}
