/**
 * account.json: a copy of the account's row beside its mail, written at every stage change. It serves
 * disaster recovery, and says on opening whether a folder belongs to the account that opens it.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AccountRow } from "./directory.ts";
import { syncPath } from "./sync-path.ts";

const fileName = "account.json";

/** Replaced as a whole. In stage `local` it is on stable storage when this returns. */
export function writeAccountRecord(directory: string, row: AccountRow): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { user, stage, legacy, createdAt } = row;
  const path = join(directory, fileName);
  const text = `${JSON.stringify({ user, stage, legacy, createdAt }, null, 2)}\n`;
  const flush = stage === "local";
  writeFileSync(`${path}.tmp`, text, { mode: 0o600, flush });
  renameSync(`${path}.tmp`, path);
  if (flush) syncPath(directory);
}

/** The user whose folder this is; undefined where there is no readable record. */
export function recordedUser(directory: string): string | undefined {
  try {
    const record = JSON.parse(readFileSync(join(directory, fileName), "utf8")) as { user?: unknown };
    return typeof record.user === "string" ? record.user : undefined;
  } catch {
    return undefined;
  }
}
