/**
 * What the writer thread does, synchronously: the thread is there to wait for the disk, and synchronous
 * calls on small files cost a fraction of asynchronous ones. A message is written under tmp/, gets
 * INTERNALDATE as its mtime and is renamed into cur/: a file in cur/ is whole.
 */
import {
  closeSync,
  futimesSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { countBareLf } from "./bare-lf.ts";
import { errorCode, isCorrupt } from "./store-errors.ts";
import { syncPath } from "./sync-path.ts";

/** One message of a batch; its bytes are `offset..offset+length-1` of the batch's data. */
export interface FileItem {
  /** The part of the name before `,S=`. */
  readonly identity: string;
  readonly letters: string;
  readonly epochSeconds: number;
  readonly offset: number;
  readonly length: number;
}

export type WriterJob =
  | {
      readonly kind: "file";
      readonly folder: string;
      readonly items: readonly FileItem[];
      readonly data: ArrayBuffer;
    }
  /** Tells which were not there. */
  | { readonly kind: "remove"; readonly paths: readonly string[] }
  | { readonly kind: "removeTree"; readonly path: string }
  /** Size and mtime of files in one folder. */
  | { readonly kind: "stat"; readonly folder: string; readonly names: readonly string[] }
  /** Whether all of a database can be read. */
  | { readonly kind: "checkDatabase"; readonly path: string }
  /** fsync of every file and folder below. */
  | { readonly kind: "sync"; readonly directory: string };

/** `names` are in the order of the items; it ends where an error stopped the batch. */
export interface FiledBatch {
  readonly names: readonly string[];
  readonly error: JobError | undefined;
}

/** Errors as they cross the thread's border. */
export interface JobError {
  readonly code: string | undefined;
  readonly message: string;
}

/** -1 for a file that is not there. */
export interface FileStats {
  readonly sizesBytes: Float64Array;
  readonly mtimesSeconds: Float64Array;
}

export interface WriterResults {
  readonly file: FiledBatch;
  readonly remove: readonly string[];
  readonly removeTree: undefined;
  readonly stat: FileStats;
  readonly checkDatabase: boolean;
  readonly sync: undefined;
}

export function runJob(job: WriterJob, nextTemporary: () => number): WriterResults[WriterJob["kind"]] {
  switch (job.kind) {
    case "file":
      return fileBatch(job, nextTemporary);
    case "remove":
      return job.paths.filter((path) => !removeFile(path));
    case "removeTree":
      rmSync(job.path, { recursive: true, force: true });
      return undefined;
    case "stat":
      return statFiles(job.folder, job.names);
    case "checkDatabase":
      return isSoundDatabase(job.path);
    case "sync":
      syncTree(job.directory);
      return undefined;
  }
}

export function toJobError(error: unknown): JobError {
  return { code: errorCode(error), message: error instanceof Error ? error.message : String(error) };
}

function fileBatch(job: WriterJob & { kind: "file" }, nextTemporary: () => number): FiledBatch {
  const names: string[] = [];
  for (const item of job.items) {
    const bytes = new Uint8Array(job.data, item.offset, item.length);
    const crlfBytes = item.length + countBareLf(bytes);
    const name = `${item.identity},S=${item.length},W=${crlfBytes}:2,${item.letters}`;
    const temporary = join(job.folder, "tmp", `${item.identity}.${nextTemporary()}`);
    try {
      writeWhole(temporary, bytes, item.epochSeconds);
      renameSync(temporary, join(job.folder, "cur", name));
    } catch (error) {
      removeFile(temporary);
      return { names, error: toJobError(error) };
    }
    names.push(name);
  }
  return { names, error: undefined };
}

function writeWhole(path: string, bytes: Uint8Array, epochSeconds: number): void {
  const file = openSync(path, "wx", 0o600);
  try {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(file, bytes, written, bytes.length - written);
    }
    futimesSync(file, epochSeconds, epochSeconds);
  } finally {
    closeSync(file);
  }
}

/** Whether it was there. */
function removeFile(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return false;
  }
}

function statFiles(folder: string, names: readonly string[]): FileStats {
  const sizesBytes = new Float64Array(names.length);
  const mtimesSeconds = new Float64Array(names.length);
  names.forEach((name, index) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    sizesBytes[index] = stat?.size ?? -1;
    mtimesSeconds[index] = stat ? Math.floor(stat.mtimeMs / 1000) : -1;
  });
  return { sizesBytes, mtimesSeconds };
}

function isSoundDatabase(path: string): boolean {
  const db = new DatabaseSync(path);
  try {
    return db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"] === "ok";
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return false;
  } finally {
    db.close();
  }
}

function syncTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else if (entry.isFile()) syncIfThere(path);
  }
  syncIfThere(directory);
}

function syncIfThere(path: string): void {
  try {
    syncPath(path);
  } catch (error) {
    // Renamed or removed since it was listed: its own change is synced with the folder.
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
