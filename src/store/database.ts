/**
 * index.db and sidecar.db of one account on one connection (the sidecar attached as `side`).
 * index.db is a cache: missing, damaged or of another schema, it is made anew and empty. sidecar.db is
 * not: where it cannot be read, opening fails and nothing is touched. Both use a write-ahead log, which is
 * flushed with all else of the account (durable.ts), and moved into the files by the writer thread: a power failure
 * takes the last transactions away, and never half of one; the two files may then differ in how far they reach.
 */
import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createDatabaseTemplate } from "./database-template.ts";
import { indexSchema, indexVersion } from "./index-db.ts";
import { sidecarSchema, sidecarUpgrades, sidecarVersion } from "./sidecar-db.ts";
import { isCorrupt } from "./store-errors.ts";

/** A log that is longer is moved over. */
const longLogBytes = 16 << 20;
/** Pages of 4 KB after which SQLite moves the log itself, and everybody waits for the disk: only where nobody has. */
const autoCheckpointPages = 40_000;
/** The log's length is looked at once in so many transactions. */
const transactionsPerLook = 32;

export interface AccountDatabase {
  readonly db: DatabaseSync;
  /** One of the files was made at this opening. */
  readonly isNew: boolean;
  /** All of `work` or nothing (of each file; see above). Not nested. */
  transaction<T>(work: () => T): T;
  /** From now on each commit is on stable storage when it returns. */
  becomeDurable(): void;
  /** At checkpoints of the log only. */
  becomeRelaxed(): void;
  /** Something was written since it was asked last, or by an earlier process. */
  takeWritten(): boolean;
  readonly paths: readonly string[];
  close(): void;
}

/** `durable`: each commit is on stable storage when it returns. `onLongLog` is to move the logs over. */
export function openAccountDatabase(
  directory: string,
  durable = false,
  onLongLog: () => void = () => undefined,
): AccountDatabase {
  const paths = [join(directory, "index.db"), join(directory, "sidecar.db")] as const;
  const [indexPath, sidecarPath] = paths;
  const isNew = !paths.every((path) => existsSync(path));
  const db = openIndex(indexPath);
  try {
    attachSidecar(db, sidecarPath);
    if (durable) beDurable(db);
  } catch (error) {
    db.close();
    throw error;
  }
  const changes = db.prepare("SELECT total_changes() AS count");
  const hasLog = (): boolean => paths.some((path) => logBytes(path) > 0);
  let countBefore: number | undefined;
  let transactions = 0;
  return {
    db,
    isNew,
    paths,
    transaction(work) {
      const result = transaction(db, work);
      if (++transactions % transactionsPerLook === 0 && paths.some((path) => logBytes(path) > longLogBytes))
        onLongLog();
      return result;
    },
    becomeDurable: () => beDurable(db),
    becomeRelaxed: () => db.exec("PRAGMA main.synchronous = NORMAL; PRAGMA side.synchronous = NORMAL;"),
    takeWritten() {
      const count = Number(changes.get()?.["count"]);
      // Every commit is in a log first; a log that was moved over is written anew from its beginning.
      const hasWritten = count !== countBefore && hasLog();
      countBefore = count;
      return hasWritten;
    },
    close: () => db.close(),
  };
}

function logBytes(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

function beDurable(db: DatabaseSync): void {
  db.exec("PRAGMA main.synchronous = FULL; PRAGMA side.synchronous = FULL;");
}

const indexTemplate = createDatabaseTemplate((path) => {
  const db = configured(new DatabaseSync(path), "main");
  transaction(db, () => db.exec(`${indexSchema} PRAGMA main.user_version = ${indexVersion};`));
  db.close();
});

const sidecarTemplate = createDatabaseTemplate((path) => {
  const db = new DatabaseSync(":memory:");
  db.prepare("ATTACH ? AS side").run(path);
  configured(db, "side");
  transaction(db, () => db.exec(`${sidecarSchema} PRAGMA side.user_version = ${sidecarVersion};`));
  db.close();
});

/** The index as it is, or a new one. */
function openIndex(path: string): DatabaseSync {
  if (!existsSync(path)) {
    removeDatabase(path);
    indexTemplate.copyTo(path, false);
  }
  const db = new DatabaseSync(path);
  try {
    if (schemaVersion(db, "main") === indexVersion) return configured(db, "main");
  } catch (error) {
    db.close();
    if (!isCorrupt(error)) throw error;
    removeDatabase(path);
    return openIndex(path);
  }
  db.close();
  removeDatabase(path);
  return openIndex(path);
}

function attachSidecar(db: DatabaseSync, path: string): void {
  if (!existsSync(path)) sidecarTemplate.copyTo(path, true);
  db.prepare("ATTACH ? AS side").run(path);
  for (let version = schemaVersion(db, "side"); version !== sidecarVersion; version++) {
    const upgrade = sidecarUpgrades[version];
    if (upgrade === undefined)
      throw new Error(`${path} has schema ${version}, this program knows ${sidecarVersion}`);
    transaction(db, () => db.exec(`${upgrade} PRAGMA side.user_version = ${version + 1};`));
  }
  configured(db, "side");
}

/** `busy_timeout`: a backup or an operator's sqlite3 may look in. */
function configured(db: DatabaseSync, schema: "main" | "side"): DatabaseSync {
  db.exec(`PRAGMA busy_timeout = 5000;
    PRAGMA ${schema}.journal_mode = WAL;
    PRAGMA ${schema}.synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = ${autoCheckpointPages};`);
  return db;
}

function schemaVersion(db: DatabaseSync, schema: "main" | "side"): number {
  return Number(db.prepare(`PRAGMA ${schema}.user_version`).get()?.["user_version"]);
}

function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    // SQLite has rolled back by itself after a full disk.
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}
