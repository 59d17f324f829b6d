/**
 * account.json: a copy of the account's row beside its mail, written at every stage change. It serves
 * disaster recovery, and says on opening whether a folder belongs to the account that opens it.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { AccountRow } from "./directory.ts";

const fileName = "account.json";

/** Durable when it returns: tmp file, fsync, rename, fsync of the folder. */
export function writeAccountRecord(directory: string, row: AccountRow): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { user, stage, legacy, createdAt } = row;
  const path = join(directory, fileName);
  const file = openSync(`${path}.tmp`, "w", 0o600);
  try {
    writeSync(file, `${JSON.stringify({ user, stage, legacy, createdAt }, null, 2)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.tmp`, path);
  const folder = openSync(directory, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
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
