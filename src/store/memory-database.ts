/**
 * The databases of an account that is not local, in memory: where the disk takes nothing. They begin with what is on
 * the disk, and are forgotten when the account is closed: the next opening asks for what has changed since.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import type { Logger } from "../log.ts";
import { type AccountDatabase, transaction } from "./database.ts";
import { indexSchema, indexVersion } from "./index-db.ts";
import { sidecarSchema, sidecarVersion } from "./sidecar-db.ts";

/** Headers and structures are fetched again: they are most of an index. */
const copied = {
  main: ["mailboxes", "messages", "marks"],
  side: [
    ...["mailboxes", "messages", "keywords", "settings", "expunged", "expunged_from"],
    ...["maildrop", "maildrop_mailboxes"],
  ],
} as const;

export function openMemoryDatabase(directory: string, logger: Logger): AccountDatabase {
  const db = new DatabaseSync(":memory:");
  db.exec("ATTACH ':memory:' AS side; PRAGMA temp_store = MEMORY;");
  db.exec(`${indexSchema} ${sidecarSchema}`);
  try {
    // The index's rows are of the sidecar's mailboxes.
    if (copyFrom(db, join(directory, "sidecar.db"), "side", sidecarVersion))
      copyFrom(db, join(directory, "index.db"), "main", indexVersion);
  } catch (error) {
    logger.warn(
      { err: error, directory },
      "what is known of the account cannot be read, and is asked for again",
    );
  }
  return {
    db,
    isNew: false,
    indexWasDamaged: false,
    sidecar: "there",
    isRestored: false,
    isOtherSidecar: false,
    transaction: (work) => transaction(db, work),
    becomeDurable: () => undefined,
    becomeRelaxed: () => undefined,
    flush: () => false,
    close: () => db.close(),
  };
}

/** False where there is none of this version. */
function copyFrom(db: DatabaseSync, path: string, schema: keyof typeof copied, version: number): boolean {
  if (!existsSync(path)) return false;
  // Without its log, for which there is no room.
  db.prepare("ATTACH ? AS disk").run(`${pathToFileURL(path).href}?immutable=1`);
  try {
    if (db.prepare("PRAGMA disk.user_version").get()?.["user_version"] !== version) return false;
    transaction(db, () => {
      for (const table of copied[schema])
        db.exec(`INSERT INTO ${schema}.${table} SELECT * FROM disk.${table}`);
    });
    return true;
  } finally {
    db.exec("DETACH disk");
  }
}
