/**
 * New databases as copies of one that was made once: SQLite's own way to a schema and a write-ahead log
 * waits for the disk several times, and a client waits for it at his first login. The one is made beside the
 * first copy: a temporary folder elsewhere that is full or not ours must refuse nobody.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface DatabaseTemplate {
  /** Makes the database at `path`; `flush`: it is whole even after a power failure. */
  copyTo(path: string, flush: boolean): void;
}

/** `make` creates the database at a path and closes it; it runs at the first copy. */
export function createDatabaseTemplate(make: (path: string) => void): DatabaseTemplate {
  let bytes: Buffer | undefined;
  const build = (directory: string): Buffer => {
    const folder = mkdtempSync(join(directory, "template-"));
    try {
      const path = join(folder, "template.db");
      make(path);
      return readFileSync(path);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  return {
    copyTo(path, flush) {
      bytes ??= build(dirname(path));
      writeFileSync(`${path}.new`, bytes, { mode: 0o600, flush });
      renameSync(`${path}.new`, path);
    },
  };
}
