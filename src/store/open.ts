/** Opens an account's store: databases, sweep of what a killed process left, and the parts put together. */
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Logger, silentLogger } from "../log.ts";
import { createAccountStore } from "./account-store.ts";
import { openAccountDatabase } from "./database.ts";
import { createFlushAhead } from "./durable.ts";
import { createExpungeLog } from "./expunge-log.ts";
import { createFlusher, type Flusher } from "./flusher.ts";
import { createIndexDb } from "./index-db.ts";
import { meetLostSidecar } from "./lost-sidecar.ts";
import { makeFolder } from "./mailbox-folder.ts";
import { createMailboxRegistry } from "./mailbox-registry.ts";
import { createMaildropTable } from "./maildrop-table.ts";
import { createMessageCache } from "./message-cache.ts";
import { createSidecarDb } from "./sidecar-db.ts";
import type { AccountStore } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode, storing, storingAsync } from "./store-errors.ts";
import { sweepTemporaries } from "./sweep.ts";
import { createWriter, jobsOf, type Writer } from "./writer.ts";

export interface AccountStoreOptions {
  /** The account is local: what is committed has no other home. */
  readonly durable?: boolean;
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
  const { signal = new AbortController().signal, logger = silentLogger } = options;
  signal.throwIfAborted();
  const maildir = join(directory, "Maildir");
  const database = storing(() => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    meetLostSidecar(directory, options.durable === true, logger);
    makeFolder(maildir, true);
    return openAccountDatabase(directory, options.durable);
  });
  const writer = options.writer ?? createWriter();
  const release = options.writer ? async () => {} : () => writer.close();
  try {
    return await storingAsync(async () => {
      const { db } = database;
      const flusher = (options.flusher ?? createFlusher({ writer, logger })).folder(directory);
      if (database.isNew) flusher.wrote();
      if (database.indexWasDamaged) logger.warn({ directory }, "index.db was damaged and is made anew");
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
      const registry = createMailboxRegistry(context);
      await sweepTemporaries([
        maildir,
        ...registry.records().map((record) => join(maildir, record.directory)),
      ]);
      signal.throwIfAborted();
      return createAccountStore({ context, registry, signal, release });
    });
  } catch (error) {
    database.close();
    await release();
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
