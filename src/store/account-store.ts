/**
 * One account's mail on disk: puts the parts together behind the interface of store.ts. Errors of the
 * disk become UNAVAILABLE here, at the border. What runs asynchronously is waited for by `close`.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { type EncodedMailboxName, type MailboxId, type Uid, uidValidity } from "../mail/ids.ts";
import { anyOf } from "../waiting.ts";
import { addMessages, type Original } from "./add-messages.ts";
import { readAside, removeAside } from "./aside-files.ts";
import { createCacheMethods } from "./cache-methods.ts";
import { appendToUidlist, writtenUidNext } from "./checkpoint.ts";
import { createCheckpoints } from "./checkpoints.ts";
import { noteClosed } from "./database-damage.ts";
import { nextUidValidity, raiseUidValidity } from "./dovecot-uidvalidity.ts";
import { droppedMethods } from "./dropped-methods.ts";
import { makeDurable } from "./durable.ts";
import type { ExpungeLog } from "./expunge-log.ts";
import { fileCopies } from "./file-copies.ts";
import { checkCurrent, fileMessages, spoolMessage } from "./file-messages.ts";
import { findRenamed, scanFolder } from "./folder-scan.ts";
import { handOver } from "./hand-over.ts";
import { loadMessages } from "./load-messages.ts";
import { curPath, isOthers, type MailboxFolder } from "./mailbox-folder.ts";
import type { NamesFile } from "./mailbox-names-file.ts";
import type { MailboxRegistry } from "./mailbox-registry.ts";
import type { MaildropTable } from "./maildrop-table.ts";
import { noteNamesAgree } from "./names-agree.ts";
import { openFiledMessage } from "./open-filed-message.ts";
import { pop3FieldsOf } from "./pop3-fields.ts";
import { removeMailboxFiles, removeMessages } from "./remove-messages.ts";
import { saveMessages } from "./save-messages.ts";
import { setAside } from "./set-aside.ts";
import { countFiles, noteTold, removeSetAside, setAsideMailboxes } from "./set-aside-mailbox.ts";
import { createSpool, type Spool } from "./spool.ts";
import type { AccountStore, MailboxRecord, MessageToAdd, StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { MessageLost, StoreTrouble, storing, storingAsync } from "./store-errors.ts";
import { receivedPrefix } from "./sweep.ts";
import { syncPath } from "./sync-path.ts";
import { compareSubscriptions, writeSubscriptions } from "./write-subscriptions.ts";

export interface AccountStoreParts {
  readonly context: StoreContext;
  readonly registry: MailboxRegistry;
  readonly names: NamesFile;
  /** Ends waits for locks. */
  readonly signal: AbortSignal;
  /** Runs last in `close`. */
  readonly release: () => Promise<void>;
}

export function createAccountStore(parts: AccountStoreParts): AccountStore {
  const { context, registry, names } = parts;
  const running = new Set<Promise<void>>();
  const closing = new AbortController();
  const signal = anyOf(parts.signal, closing.signal);

  const track = <T>(work: () => Promise<T>): Promise<T> => {
    const result = storingAsync(work);
    const forget = (): void => void running.delete(ended);
    const ended: Promise<void> = result.then(forget, forget);
    running.add(ended);
    return result;
  };
  const current = (mailbox: MailboxRecord): MailboxFolder => {
    const folder = registry.folder(mailbox.id);
    checkCurrent(folder, mailbox);
    return folder;
  };
  const folderOf = (id: MailboxId): MailboxFolder | undefined =>
    registry.records().some((record) => record.id === id) ? registry.folder(id) : undefined;
  let temporaryCopies = 0;
  const scanned = async (mailbox: MailboxRecord): Promise<MailboxFolder> => {
    const folder = current(mailbox);
    if (!folder.scanned) await scanFolder(folder);
    return folder;
  };
  const lineWriter =
    (folder: MailboxFolder, mailbox: MailboxRecord) =>
    (names: ReadonlyMap<Uid, string>): Promise<void> => {
      const { guid } = registry.kept(mailbox.id);
      const fieldsOf = pop3FieldsOf(context, mailbox, false);
      return appendToUidlist({ folder, mailbox, guid, names, fieldsOf, signal });
    };
  const add = async (mailbox: MailboxRecord, messages: readonly MessageToAdd[]): Promise<StoredMessage[]> => {
    const folder = await scanned(mailbox);
    const names = await addMessages(context, folder, messages, originalOf, lineWriter(folder, mailbox));
    return messages.map(({ meta }) => ({
      presence: "full",
      fileName: names.get(meta.uid) ?? "",
      ...meta,
    }));
  };
  /** A file that others have named may have other line ends than ours have. */
  const originalOf = ({ meta, copyOf }: MessageToAdd & { copyOf: CopyOf }): Original => {
    const path = pathOf(copyOf);
    const fileName = basename(path);
    const folder = current(copyOf.mailbox);
    if (!isOthers(folder, fileName)) return { path };
    const original = { ...meta, presence: "full", uid: copyOf.uid, fileName } as const;
    return { content: openFiledMessage(context, folder, original) };
  };
  const pathOf = ({ mailbox, uid }: CopyOf): string => {
    const folder = current(mailbox);
    const name = folder.files.get(uid);
    if (name !== undefined && existsSync(curPath(folder, name))) return curPath(folder, name);
    const renamed = findRenamed(folder, [uid]).get(uid);
    if (renamed === undefined) {
      folder.files.delete(uid);
      throw new MessageLost(new Error(`UID ${uid} has no file`));
    }
    return curPath(folder, renamed);
  };
  const checkpoint = createCheckpoints(context);
  const spools = spoolMethods(context, current, closing.signal);
  const close = async (): Promise<void> => {
    closing.abort();
    while (running.size > 0) await Promise.all(running);
    await context.flushAhead.ended();
    if (context.isLocal) names.write();
    context.database.close();
    noteClosed(context.directory, context.logger);
    await parts.release();
  };

  return {
    directory: context.directory,
    isPassing: context.isPassing,
    ...mailboxMethods(parts, track),
    ...createCacheMethods(context, current),
    expunges: expungeLog(context),
    maildrop: maildropTable(context),
    ...spools,
    writeSubscriptions(names: readonly EncodedMailboxName[], separator) {
      void track(() => writeSubscriptions(context, registry, { names, separator, signal })).catch((error) =>
        context.logger.error({ err: error }, "subscriptions were not written"),
      );
    },
    compareSubscriptions: (names, separator) =>
      track(() => compareSubscriptions(context, registry, { names, separator, signal })),
    loadMessages: (mailbox) => track(() => loadMessages(context, current(mailbox), mailbox.uidNext)),
    countMessages: (id) => storing(() => context.index.countMessages(id)),
    fileOf: (mailbox, uid) => registry.folder(mailbox.id).files.get(uid),
    saveMessages: (mailbox, messages) => storing(() => saveMessages(context, current(mailbox), messages)),
    removeMessages: (mailbox, uids) =>
      track(async () => removeMessages(context, await scanned(mailbox), uids)),
    fileMessages: (mailbox, batch) => track(async () => fileMessages(context, await scanned(mailbox), batch)),
    fileCopies: (mailbox, messages) =>
      track(async () =>
        fileCopies(context, await scanned(mailbox), messages, folderOf, () => ++temporaryCopies),
      ),
    addMessages: (mailbox, messages) => track(() => add(mailbox, messages)),
    ...droppedMethods(context, { current, track, lineWriter, signal }),
    writtenUidNext: (mailbox) => track(() => writtenUidNext(current(mailbox), mailbox.uidNext)),
    setAside: (mailbox, uids, place) =>
      storing(() => {
        for (const uid of uids) setAside(context, current(mailbox), uid, place);
      }),
    readAside: (fileName) => track(() => readAside(context.directory, fileName)),
    removeAside: (fileName) => storing(() => removeAside(context.directory, fileName)),
    syncFolder: (mailbox) => storing(() => syncPath(join(current(mailbox).path, "cur"))),
    nextUidValidity: () =>
      storing(() => {
        const next = nextUidValidity(context.maildir, highestUidValidity(registry));
        context.flusher.wrote();
        return uidValidity(next);
      }),
    openMessage: (mailbox, message) => storing(() => openFiledMessage(context, current(mailbox), message)),
    checkpoint: (mailbox, messages) =>
      track(async () => {
        const { guid } = registry.kept(mailbox.id);
        const isSame = await checkpoint({ folder: current(mailbox), mailbox, guid, messages, signal });
        if (context.isLocal) noteNamesAgree(context, mailbox.id);
        if (isSame) return;
        if (raiseUidValidity(context.maildir, highestUidValidity(registry))) context.flusher.wrote();
      }),
    handOver: (request) => track(() => handOver(context, registry, request, signal)),
    makeDurable: () =>
      track(async () => {
        if (context.isPassing) throw new StoreTrouble(new Error("the disk takes nothing: it is full"));
        await makeDurable(context);
      }),
    becomeLocal: () =>
      storing(() => {
        context.isLocal = true;
        context.database.becomeDurable();
        names.changed();
      }),
    becomeMirrored: () =>
      storing(() => {
        context.isLocal = false;
        context.database.becomeRelaxed();
      }),
    close,
  };
}

type Track = <T>(work: () => Promise<T>) => Promise<T>;
type CopyOf = NonNullable<MessageToAdd["copyOf"]>;

function mailboxMethods({ context, registry, names }: AccountStoreParts, track: Track) {
  const drop = async (id: MailboxId): Promise<void> => {
    if (context.isLocal) names.changed();
    for (const path of registry.drop(id)) await context.writer.run({ kind: "removeTree", path });
  };
  const changingNames = <T>(work: () => T): T => {
    const result = work();
    if (context.isLocal) names.changed();
    return result;
  };
  return {
    mailboxes: () => registry.records(),
    addMailbox: (fields) => storing(() => changingNames(() => registry.add(fields))),
    saveMailbox: (record) => storing(() => registry.save(record)),
    renameMailbox: (id, name) => storing(() => changingNames(() => registry.rename(id, name))),
    dropMailbox: (id) => track(() => drop(id)),
    setMailboxAside: (id) =>
      track(async () => {
        // Of an empty one there is nothing to keep.
        if (countFiles(registry.folder(id).path) > 0) registry.setAside(id);
        else await drop(id);
      }),
    setAsideMailboxes: () => storing(() => setAsideMailboxes(context)),
    noteSetAsideTold: () => storing(() => noteTold(context)),
    removeSetAside: (keepMs) => track(() => removeSetAside(context, keepMs)),
    resetMailbox: (id, uidValidity) =>
      track(async () => {
        const record = registry.reset(id, uidValidity);
        await removeMailboxFiles(registry.folder(id));
        return record;
      }),
    readSetting: (key) => storing(() => context.sidecar.readSetting(key)),
    writeSetting: (key, value) => storing(() => context.sidecar.writeSetting(key, value)),
    readMark: (key) => storing(() => context.index.readMark(key)),
    writeMark: (key, value) => storing(() => context.index.writeMark(key, value)),
  } satisfies Partial<AccountStore>;
}

function expungeLog({ database, expunges }: StoreContext): ExpungeLog {
  return {
    begin: (mailbox) => storing(() => expunges.begin(mailbox)),
    start: (mailbox, since) => storing(() => database.transaction(() => expunges.start(mailbox, since))),
    add: (mailbox, uids, at) => storing(() => database.transaction(() => expunges.add(mailbox, uids, at))),
    since: (mailbox, since) => storing(() => expunges.since(mailbox, since)),
    highest: (mailbox) => storing(() => expunges.highest(mailbox)),
    remove: (mailbox) => storing(() => database.transaction(() => expunges.remove(mailbox))),
  };
}

function maildropTable({ maildrop }: StoreContext): MaildropTable {
  return {
    entries: () => storingAsync(() => maildrop.entries()),
    unmatched: () => storing(() => maildrop.unmatched()),
    counts: () => storing(() => maildrop.counts()),
    change: (change) => storing(() => maildrop.change(change)),
    entryOf: (mailbox, uid) => storing(() => maildrop.entryOf(mailbox, uid)),
    ofMailbox: (mailbox) => storing(() => maildrop.ofMailbox(mailbox)),
    markRemoved: (mailbox, uids) => storing(() => maildrop.markRemoved(mailbox, uids)),
    forgetMessages: (mailbox, uids) => storing(() => maildrop.forgetMessages(mailbox, uids)),
    markEntryRemoved: (entry) => storing(() => maildrop.markEntryRemoved(entry)),
    noteMessage: (entry, message, print) => storing(() => maildrop.noteMessage(entry, message, print)),
    noteProblem: (entry, problem) => storing(() => maildrop.noteProblem(entry, problem)),
    forgetMailbox: (mailbox) => storing(() => maildrop.forgetMailbox(mailbox)),
    listedUpTo: (mailbox) => storing(() => maildrop.listedUpTo(mailbox)),
    noteListedUpTo: (mailbox, uidNext) => storing(() => maildrop.noteListedUpTo(mailbox, uidNext)),
  };
}

function spoolMethods(
  context: StoreContext,
  current: (mailbox: MailboxRecord) => MailboxFolder,
  closing: AbortSignal,
) {
  const open = new Set<Spool>();
  let spools = 0;
  closing.addEventListener("abort", () => {
    for (const spool of open) spool.abort(new Error("the account was closed"));
  });
  return {
    receive(sizeBytes: number) {
      const path = join(context.maildir, "tmp", `${receivedPrefix}${++spools}`);
      const spool = storing(() => createSpool(path, sizeBytes));
      open.add(spool);
      return {
        sizeBytes,
        write: (bytes: Buffer) => spool.write(bytes),
        open: () => spool.open(),
        discard() {
          open.delete(spool);
          storing(() => spool.abort(new Error("the message was not wanted any more")));
        },
      };
    },
    spool(mailbox: MailboxRecord, uid: Uid, sizeBytes: number) {
      return storing(() => {
        const folder = current(mailbox);
        const spooled = spoolMessage(context, folder, uid, sizeBytes, ++spools);
        open.add(spooled.spool);
        const ended = <T>(result: T): T => {
          open.delete(spooled.spool);
          return result;
        };
        return {
          write: spooled.write,
          open: spooled.open,
          commit: (meta) => spooled.commit(meta).then(ended),
          abort: (reason) => spooled.abort(reason).then(ended),
        };
      });
    },
  } satisfies Partial<AccountStore>;
}

function highestUidValidity(registry: MailboxRegistry): number {
  return Math.max(0, ...registry.records().map(({ uidValidity }) => uidValidity ?? 0));
}
