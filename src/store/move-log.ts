/**
 * Moves what is in a database's write-ahead log into its file, flushed, from the writer thread: the flush would hold
 * up everybody in the main one. It neither waits for those who use the database nor holds them up (PASSIVE); what
 * they write meanwhile stays in the log.
 */
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

export function moveLog(path: string): void {
  if (!existsSync(`${path}-wal`)) return;
  const db = new DatabaseSync(path);
  try {
    db.exec("PRAGMA synchronous = NORMAL; PRAGMA wal_checkpoint(PASSIVE);");
  } finally {
    db.close();
  }
}
