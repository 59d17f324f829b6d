/**
 * The data folder as a whole: its lock and where each account lives in it.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Below the 255 bytes that file systems allow a name. */
const maxStepLength = 200;

export interface DataDirLock {
  release(): void;
}

/**
 * Takes the data folder for this process; undefined when another process has it. An SQLite file held
 * EXCLUSIVE: the kernel drops the lock with the process however it ends, and Node has no flock.
 */
export function lockDataDir(dataDir: string): DataDirLock | undefined {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const db = new DatabaseSync(join(dataDir, "lock.db"));
  try {
    db.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;");
  } catch (error) {
    db.close();
    if (/locked|busy/i.test((error as Error).message)) return undefined;
    throw error;
  }
  return { release: () => db.close() };
}

/** `<dataDir>/mail/<domain, or _ for none>/<local part>`: nothing of a name becomes a path unencoded. */
export function accountDirectory(dataDir: string, user: { local: string; domain: string }): string {
  const domain = user.domain === "" ? "_" : user.domain === "_" ? "%5f" : encodeStep(user.domain);
  return join(dataDir, "mail", domain, encodeStep(user.local));
}

/** Percent-encodes every byte but letters, digits and `_ + = @ - .`, a leading dot too. */
function encodeStep(text: string): string {
  const encoded = [...Buffer.from(text, "utf8")]
    .map((byte, index) => {
      const char = String.fromCharCode(byte);
      const plain = index === 0 ? /[A-Za-z0-9_+=@-]/ : /[A-Za-z0-9_+=@.-]/;
      return plain.test(char) ? char : `%${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
  if (encoded.length <= maxStepLength) return encoded;
  const digest = createHash("sha256").update(text).digest("hex");
  return `${encoded.slice(0, maxStepLength - digest.length - 1)}%${digest}`;
}
