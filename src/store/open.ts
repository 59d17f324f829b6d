/** Opens an account's store: databases, sweep of what a killed process left, and the parts put together. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Logger, silentLogger } from "../log.ts";
import { createAccountStore } from "./account-store.ts";
import { noteDamage, settleDamage } from "./database-damage.ts";
import { createFlushAhead } from "./durable.ts";
import { createExpungeLog } from "./expunge-log.ts";
import { createFlusher, type Flusher } from "./flusher.ts";
import { createIndexDb } from "./index-db.ts";
import { openDatabase, rebuildWhereLost } from "./lost-sidecar.ts";
import { createNamesFile } from "./mailbox-names-file.ts";
import { createMailboxRegistry } from "./mailbox-registry.ts";
import { createMaildropTable } from "./maildrop-table.ts";
import { createMessageCache } from "./message-cache.ts";
import { noteRepair } from "./repairs.ts";
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
  const { database, repairs } = storing(() => openDatabase(directory, options));
  try {
    return await storingAsync(async () => {
      const { db } = database;
      const flusher = (options.flusher ?? createFlusher({ writer, logger })).folder(directory);
      if (database.isNew) flusher.wrote();
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
      repairs.push(...(await rebuildWhereLost(context, options)));
      for (const words of repairs) noteRepair(sidecar, words);
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

/** Where the system does not tell, each opening counts as a start of the machine. */
function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return randomUUID();
  }
}
