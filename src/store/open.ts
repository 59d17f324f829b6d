/** Opens an account's store: databases, sweep of what a killed process left, and the parts put together. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Logger, silentLogger } from "../log.ts";
import { createAccountStore } from "./account-store.ts";
import { type AccountDatabase, openAccountDatabase } from "./database.ts";
import { noteDamage, settleDamage } from "./database-damage.ts";
import { createFlushAhead } from "./durable.ts";
import { createExpungeLog } from "./expunge-log.ts";
import { createFlusher, type Flusher } from "./flusher.ts";
import { createIndexDb } from "./index-db.ts";
import { holdsMail, putMailAside } from "./lost-sidecar.ts";
import { makeFolder } from "./mailbox-folder.ts";
import { createNamesFile } from "./mailbox-names-file.ts";
import { createMailboxRegistry } from "./mailbox-registry.ts";
import { createMaildropTable } from "./maildrop-table.ts";
import { createMessageCache } from "./message-cache.ts";
import { isRebuilding, rebuildFromFolders } from "./rebuild-sidecar.ts";
import { createSidecarDb } from "./sidecar-db.ts";
import type { AccountStore } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode, isCorrupt, StoreTrouble, storing, storingAsync } from "./store-errors.ts";
import { sweepTemporaries } from "./sweep.ts";
import { watchDamage } from "./watch-damage.ts";
import { createWriter, jobsOf, type Writer } from "./writer.ts";

export interface AccountStoreOptions {
  /** The account is local: what is committed has no other home. */
  readonly durable?: boolean;
  /** It was opened before, and has a mailbox at least: found empty, it is not served. */
  readonly mustExist?: boolean;
  /** A database was found damaged in use: opened anew, the store makes it again. */
  readonly onDamage?: () => void;
  /** Ends opening, and waits for locks later. */
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Shared by all accounts and closed by who made it; without one the store has its own. */
  readonly writer?: Writer;
  /** Likewise; without one what is written is flushed file by file. */
  readonly flusher?: Flusher;
}

/** Throws UNAVAILABLE when the folder cannot be written. The caller closes the store. */
export async function openAccountStore(
  directory: string,
  options: AccountStoreOptions = {},
): Promise<AccountStore> {
  const { logger = silentLogger, onDamage } = options;
  const writer = options.writer ?? createWriter();
  const release = options.writer ? async () => {} : () => writer.close();
  const open = (): Promise<AccountStore> => openChecked(directory, { ...options, writer }, release);
  try {
    const store = await open().catch((error: unknown) => {
      if (!(error instanceof StoreTrouble) || !isCorrupt(error.cause)) throw error;
      logger.warn({ err: error, directory }, "a database is damaged");
      noteDamage(directory, logger);
      return open();
    });
    return watchDamage(store, (error) => {
      logger.error({ err: error, directory }, "a database is damaged: the account is opened anew");
      noteDamage(directory, logger);
      onDamage?.();
    });
  } catch (error) {
    await release();
    throw error;
  }
}

async function openChecked(
  directory: string,
  options: AccountStoreOptions & { readonly writer: Writer },
  release: () => Promise<void>,
): Promise<AccountStore> {
  const { signal = new AbortController().signal, logger = silentLogger, writer } = options;
  signal.throwIfAborted();
  const maildir = join(directory, "Maildir");
  await settleDamage({ directory, writer, logger });
  const database = storing(() => openDatabase(directory, options));
  try {
    return await storingAsync(async () => {
      const { db } = database;
      const flusher = (options.flusher ?? createFlusher({ writer, logger })).folder(directory);
      if (database.isNew) flusher.wrote();
      tellFound(database, directory, logger);
      const [index, cache, sidecar] = [createIndexDb(db), createMessageCache(db), createSidecarDb(db)];
      const bootId = readBootId();
      const context: StoreContext = {
        directory,
        maildir,
        database,
        index,
        cache,
        sidecar,
        expunges: createExpungeLog(db),
        maildrop: createMaildropTable(db, database.transaction),
        writer: jobsOf(writer, flusher.wrote),
        flusher,
        flushAhead: createFlushAhead(flusher),
        logger,
        isLocal: options.durable === true,
        bootId,
      };
      await rebuildWhereLost(context, options);
      const registry = createMailboxRegistry(context);
      await sweepTemporaries([
        maildir,
        ...registry.records().map((record) => join(maildir, record.directory)),
      ]);
      signal.throwIfAborted();
      const names = createNamesFile(context, registry);
      return createAccountStore({ context, registry, names, signal, release });
    });
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Mail that the legacy server has is put aside where nobody knows what it was. */
function openDatabase(directory: string, options: AccountStoreOptions): AccountDatabase {
  const { durable = false, mustExist = false, logger = silentLogger } = options;
  const maildir = join(directory, "Maildir");
  if (mustExist && !existsSync(maildir)) throw nothingThere(directory, logger);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = openAccountDatabase(directory, durable);
  const isKnown = !isEmpty(database) && !database.isOtherSidecar;
  if (durable || isKnown || !holdsMail(maildir)) {
    makeFolder(maildir, true);
    return database;
  }
  database.close();
  putMailAside(directory, logger);
  makeFolder(maildir, true);
  return openAccountDatabase(directory, durable);
}

function isEmpty({ db }: AccountDatabase): boolean {
  return db.prepare("SELECT 1 FROM side.mailboxes LIMIT 1").get() === undefined;
}

function tellFound(
  { indexWasDamaged, isRestored, sidecar }: AccountDatabase,
  directory: string,
  logger: Logger,
) {
  if (indexWasDamaged) logger.warn({ directory }, "index.db was damaged or old, and is made anew");
  if (isRestored)
    logger.warn(
      { directory, sidecar },
      `sidecar.db was ${sidecar}: it is made again, as it was, from index.db`,
    );
}

/** Mail that has no other home: what the databases do not know is taken from the folders. */
async function rebuildWhereLost(
  context: StoreContext,
  { durable = false, mustExist = false }: AccountStoreOptions,
): Promise<void> {
  const { database, directory, maildir, logger } = context;
  if (!durable) return;
  const wasEmpty = isEmpty(database);
  // Without its index nobody knows whether a sidecar is an old one.
  if (wasEmpty ? holdsMail(maildir) : database.isNew || isRebuilding(context)) {
    const mailboxes = await rebuildFromFolders(context);
    if (mailboxes.length > 0)
      logger.error(
        { directory, mailboxes, sidecar: database.sidecar },
        "sidecar.db and index.db do not know these mailboxes: they are made again from the Maildir. UIDs, flags, dates and POP3 UIDLs are as they were; time zones of dates, sizes told by the old server's LIST, decisions of the operator and the marks of the cutover are lost (nothing more is brought over from the old server)",
      );
  }
  if (mustExist && isEmpty(database)) throw nothingThere(directory, logger);
}

function nothingThere(directory: string, logger: Logger): StoreTrouble {
  const error = new Error(`${directory} has no mail at all, and is a local account's: is a disk missing?`);
  logger.error({ err: error }, "the account is not served");
  return new StoreTrouble(error);
}

/** Where the system does not tell, each opening counts as a start of the machine. */
function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return randomUUID();
  }
}
