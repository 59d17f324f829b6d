/**
 * Damage of large databases, which an opening does not read: after they were changed by somebody else, and after
 * damage was met in use, they are checked off the main thread before they are opened. What is found damaged goes, and
 * the opening makes it again (database.ts).
 */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../log.ts";
import { keepAside, maxCheckedBytes, removeDatabase } from "./database.ts";
import { storing } from "./store-errors.ts";
import type { WriterJobs } from "./writer.ts";

const databases = ["sidecar.db", "index.db"] as const;
const markName = "databases.damaged";
const closedName = "databases.closed";

export interface DamageCheck {
  readonly directory: string;
  readonly writer: WriterJobs;
  readonly logger: Logger;
}

/** For the next opening. */
export function noteDamage(directory: string, logger: Logger): void {
  try {
    writeFileSync(join(directory, markName), "");
  } catch (error) {
    logger.error({ err: error, directory }, "a damaged database could not be noted");
  }
}

/** Before the databases are opened. */
export async function settleDamage({ directory, writer, logger }: DamageCheck): Promise<void> {
  const mark = join(directory, markName);
  const wasMet = storing(() => existsSync(mark));
  const asClosed = readClosed(directory);
  const suspects = databases.filter((name) => {
    const state = stateOf(join(directory, name));
    return state !== undefined && (wasMet || (state.size > maxCheckedBytes && state.text !== asClosed[name]));
  });
  const damaged: string[] = [];
  for (const name of suspects) {
    const isSound = await writer.run({ kind: "checkDatabase", path: join(directory, name) });
    if (!isSound) damaged.push(name);
  }
  // What a check does not see is in the one that can be made again from the other.
  if (wasMet && damaged.length === 0) damaged.push("index.db");
  storing(() => {
    for (const name of damaged) removeDamaged(join(directory, name), name);
    rmSync(mark, { force: true });
  });
  if (damaged.length > 0) logger.warn({ directory, damaged }, "damaged databases are made again");
}

/** After they were closed: as long as they stay so, nobody has to read them. */
export function noteClosed(directory: string, logger: Logger): void {
  const states = databases.map((name) => [name, stateOf(join(directory, name))] as const);
  if (states.every(([, state]) => state === undefined || state.size <= maxCheckedBytes)) return;
  const texts = states.map(([name, state]) => [name, state?.text]);
  try {
    writeFileSync(join(directory, closedName), JSON.stringify(Object.fromEntries(texts)), { mode: 0o600 });
  } catch (error) {
    logger.debug({ err: error, directory }, "the databases will be read when they are opened");
  }
}

function removeDamaged(path: string, name: string): void {
  if (name === "index.db") removeDatabase(path);
  else keepAside(path);
}

function readClosed(directory: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(readFileSync(join(directory, closedName), "utf8"));
  } catch {
    // None is noted, or half a note: they are read.
    return {};
  }
}

function stateOf(path: string): { readonly size: number; readonly text: string } | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && { size: Number(stats.size), text: `${stats.ino} ${stats.size} ${stats.mtimeNs}` };
}
