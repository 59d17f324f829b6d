import { closeSync, fsyncSync, openSync } from "node:fs";

/** fsync of a file, or of a folder: that its entries are on stable storage. */
export function syncPath(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
