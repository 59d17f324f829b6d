/**
 * index.db and sidecar.db of one account on one connection (the sidecar attached as `side`).
 * index.db is a cache: missing, damaged, older than the sidecar or of another schema, it is made anew and empty.
 * sidecar.db is not: missing, damaged (that one is put aside) or older than the index, it is made again from the copy
 * that the index has of it; without one it is empty, and the caller decides. Both use a write-ahead log and
 * are flushed at checkpoints of that log only: a power failure takes the last transactions away, and
 * never half of one; the two files may then differ in how far they reach.
 */
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createDatabaseTemplate } from "./database-template.ts";
import { indexSchema, indexVersion } from "./index-db.ts";
import { copySchema, copyToIndex, keepCopy, newerOf, restoreSidecar, writeStamp } from "./sidecar-copy.ts";
import { sidecarSchema, sidecarUpgrades, sidecarVersion } from "./sidecar-db.ts";
import { isCorrupt } from "./store-errors.ts";

/** Pages of 4 KB in the log before they are moved over. */
const autoCheckpointPages = 4000;

export interface AccountDatabase {
  readonly db: DatabaseSync;
  /** One of the files was made at this opening. */
  readonly isNew: boolean;
  /** There was an index, and it could not be used. */
  readonly indexWasDamaged: boolean;
  readonly sidecar: SidecarFound;
  /** The sidecar was made again from what the index has of it. */
  readonly isRestored: boolean;
  /** There was an index, and it is not of this sidecar: what is in the Maildir may not be, either. */
  readonly isOtherSidecar: boolean;
  /** All of `work` or nothing (of each file; see above). Not nested. */
  transaction<T>(work: () => T): T;
  /** From now on each commit is on stable storage when it returns. */
  becomeDurable(): void;
  /** At checkpoints of the log only. */
  becomeRelaxed(): void;
  /** Moves both logs into their files and flushes them; false where nothing was written since they were moved last. */
  flush(): boolean;
  close(): void;
}

/** What was there of the sidecar at this opening. */
export type SidecarFound = "there" | "missing" | "damaged" | "older than index.db";

/** `durable`: each commit is on stable storage when it returns. */
export function openAccountDatabase(directory: string, durable = false): AccountDatabase {
  const paths = [join(directory, "index.db"), join(directory, "sidecar.db")] as const;
  const isNew = !paths.every((path) => existsSync(path));
  const found = provideSidecar(paths[1]);
  const { db, indexWasDamaged, isRestored, isOtherSidecar } = openBoth(...paths);
  if (durable) beDurable(db);
  let isStamped = false;
  return {
    db,
    isNew,
    indexWasDamaged,
    sidecar: found === "there" && isRestored ? "older than index.db" : found,
    isRestored,
    isOtherSidecar,
    transaction: (work) =>
      transaction(db, () => {
        if (!isStamped) writeStamp(db);
        const result = work();
        isStamped = true;
        return result;
      }),
    becomeDurable: () => beDurable(db),
    becomeRelaxed: () => db.exec("PRAGMA main.synchronous = NORMAL; PRAGMA side.synchronous = NORMAL;"),
    flush() {
      if (!paths.some(hasLog)) return false;
      db.exec("PRAGMA main.wal_checkpoint(TRUNCATE); PRAGMA side.wal_checkpoint(TRUNCATE);");
      return true;
    },
    close: () => db.close(),
  };
}

interface OpenedBoth {
  readonly db: DatabaseSync;
  readonly indexWasDamaged: boolean;
  readonly isRestored: boolean;
  readonly isOtherSidecar: boolean;
}

function openBoth(indexPath: string, sidecarPath: string): OpenedBoth {
  const { db, wasDamaged, isNew } = openIndex(indexPath);
  let isOtherSidecar = false;
  try {
    attachSidecar(db, sidecarPath);
    if (isNew) transaction(db, () => copyToIndex(db));
    const newer = newerOf(db);
    if (newer === "index") transaction(db, () => restoreSidecar(db));
    if (newer === "index" || newer === "neither") {
      keepCopy(db);
      return { db, indexWasDamaged: wasDamaged, isRestored: newer === "index", isOtherSidecar };
    }
    isOtherSidecar = newer === "strangers";
    db.close();
  } catch (error) {
    db.close();
    if (!isCorrupt(error)) throw error;
    // A large one is not looked at before.
    if (!isSoundSidecar(sidecarPath, Number.POSITIVE_INFINITY)) {
      putSidecarAside(sidecarPath);
      return openBoth(indexPath, sidecarPath);
    }
    if (isNew) throw error;
  }
  // What it says of flags and dates is of another time, or cannot be read.
  removeDatabase(indexPath);
  return { ...openBoth(indexPath, sidecarPath), indexWasDamaged: true, isOtherSidecar };
}

/** Afterwards there is one. */
function provideSidecar(path: string): SidecarFound {
  if (!existsSync(path)) {
    putSidecarAside(path);
    return "missing";
  }
  if (isSoundSidecar(path)) return "there";
  putSidecarAside(path);
  return "damaged";
}

function putSidecarAside(path: string): void {
  keepAside(path);
  sidecarTemplate.copyTo(path, true);
}

/** For people. */
export function keepAside(path: string): void {
  const at = Date.now();
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${path}.damaged-${at}${suffix}`);
  }
}

function isSoundSidecar(path: string, maxBytes = maxCheckedBytes): boolean {
  const db = new DatabaseSync(path);
  try {
    // One that was cut off to nothing is a sound and empty database to SQLite.
    return schemaVersion(db, "main") > 0 && isSound(db, path, maxBytes);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return false;
  } finally {
    db.close();
  }
}

/** Every commit is in the log first, and only `flush` and a close make it empty, when it is flushed and moved. */
function hasLog(path: string): boolean {
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

function beDurable(db: DatabaseSync): void {
  db.exec("PRAGMA main.synchronous = FULL; PRAGMA side.synchronous = FULL;");
}

const indexTemplate = createDatabaseTemplate((path) => {
  const db = configured(new DatabaseSync(path), "main");
  transaction(db, () => db.exec(`${indexSchema} ${copySchema} PRAGMA main.user_version = ${indexVersion};`));
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
function openIndex(path: string): {
  readonly db: DatabaseSync;
  readonly wasDamaged: boolean;
  readonly isNew: boolean;
} {
  const found = existsSync(path) ? openFound(path) : undefined;
  if (found) return { db: found, wasDamaged: false, isNew: false };
  const wasDamaged = existsSync(path);
  removeDatabase(path);
  indexTemplate.copyTo(path, false);
  return { db: configured(new DatabaseSync(path), "main"), wasDamaged, isNew: true };
}

/** undefined where it is damaged, or of another schema. */
function openFound(path: string): DatabaseSync | undefined {
  const db = new DatabaseSync(path);
  try {
    if (schemaVersion(db, "main") === indexVersion && isSound(db, path)) return configured(db, "main");
  } catch (error) {
    db.close();
    if (!isCorrupt(error)) throw error;
    return undefined;
  }
  db.close();
  return undefined;
}

/** A check reads all of the file: one that is larger would hold up everybody else. */
export const maxCheckedBytes = 8 * 1024 * 1024;

function isSound(db: DatabaseSync, path: string, maxBytes = maxCheckedBytes): boolean {
  if (statSync(path).size > maxBytes) return true;
  return db.prepare("PRAGMA main.quick_check(1)").get()?.["quick_check"] === "ok";
}

function attachSidecar(db: DatabaseSync, path: string): void {
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

export function transaction<T>(db: DatabaseSync, work: () => T): T {
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

export function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}
