/**
 * What a process that was killed left under tmp/. An account has one writer, and at opening it has not
 * begun: files named as ours are rubbish. What others left goes after 36 hours, as with Dovecot (by
 * ctime: mtime may be the mail's own date).
 */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { namesIn } from "./names-in.ts";
import { errorCode } from "./store-errors.ts";

/** Folders that are being dropped are moved here first: `Maildir/tmp/dropped-<id>`. */
export const droppedPrefix = "dropped-";

/** Messages on their way in from clients: `Maildir/tmp/received-<n>`. */
export const receivedPrefix = "received-";

const foreignRubbishAfterMs = 36 * 3600 * 1000;

/** `folders` are absolute paths of mailbox folders. */
export async function sweepTemporaries(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const tmp = join(folder, "tmp");
    for (const name of await namesIn(tmp)) await sweep(join(tmp, name), isOurs(name));
  }
}

function isOurs(name: string): boolean {
  if (name.startsWith(receivedPrefix)) return true;
  return name.startsWith(droppedPrefix) || /^\d{10}\.M\d+V\d+P0\.mailferry\.[cs]?\d+$/.test(name);
}

async function sweep(path: string, always: boolean): Promise<void> {
  try {
    if (!always && (await stat(path)).ctimeMs > Date.now() - foreignRubbishAfterMs) return;
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
