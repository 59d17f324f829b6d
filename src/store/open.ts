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
import { openMemoryDatabase } from "./memory-database.ts";
import { createMessageCache } from "./message-cache.ts";
import { noteRepair } from "./repairs.ts";
import { createSidecarDb } from "./sidecar-db.ts";
import type { AccountStore } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode, isCorrupt, isRefusal, StoreTrouble, storing, storingAsync } from "./store-errors.ts";
import { sweepTemporaries } from "./sweep.ts";
import { type Trouble, watchDamage } from "./watch-damage.ts";
import { createWriter, jobsOf, type Writer } from "./writer.ts";

export interface AccountStoreOptions {
  /** The account is local: what is committed has no other home. */
  readonly durable?: boolean;
  /** It was opened before, and has a mailbox at least: found empty, it is not served. */
  readonly mustExist?: boolean;
  /** It cannot go on: opened anew, the store is whole again, or (`isPassing`) needs no disk. */
  readonly onTrouble?: (trouble: Trouble) => void;
  /** Nothing is written. Not of a local account. */
  readonly isPassing?: boolean;
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
  const { logger = silentLogger, onTrouble, durable = false } = options;
  const writer = options.writer ?? createWriter();
  const release = options.writer ? async () => {} : () => writer.close();
  const open = (isPassing = false): Promise<AccountStore> =>
    openChecked(directory, { ...options, writer, isPassing }, release);
  try {
    const store = await open(options.isPassing).catch((error: unknown) => {
      if (error instanceof StoreTrouble && isCorrupt(error.cause)) {
        logger.warn({ err: error, directory }, "a database is damaged");
        noteDamage(directory, logger);
        return open();
      }
      if (durable || !isRefusal(error)) throw error;
      logger.error(
        { err: error, directory },
        "the disk takes nothing: the account is served without being stored",
      );
      return open(true);
    });
    return watchDamage(store, (trouble, error) => {
      logger.error({ err: error, directory }, `the databases are ${trouble}: the account is opened anew`);
      if (trouble === "damaged") noteDamage(directory, logger);
      onTrouble?.(trouble);
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
  const { isPassing = false } = options;
  if (!isPassing) await settleDamage({ directory, writer, logger });
  const { database, repairs } = storing(() =>
    isPassing
      ? { database: openMemoryDatabase(directory, logger), repairs: [] }
      : openDatabase(directory, options),
  );
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
        isPassing,
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
