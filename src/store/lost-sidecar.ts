/**
 * What an account's folder holds where its sidecar.db is empty and nothing has a copy of it. Mail that has no other
 * home is taken from the Maildir (rebuild-sidecar.ts), and is never served as empty. The legacy server's is asked for
 * again: what was here is put aside.
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../log.ts";
import { errorCode } from "./store-errors.ts";

/** Whether a Maildir was ever written to. */
export function holdsMail(maildir: string): boolean {
  if (existsSync(join(maildir, "dovecot-uidlist"))) return true;
  const isFolder = (name: string): boolean => name.startsWith(".") && existsSync(join(maildir, name, "cur"));
  return (
    namesIn(maildir).some(isFolder) || ["cur", "new"].some((name) => namesIn(join(maildir, name)).length > 0)
  );
}

/** Before the databases are opened anew. */
export function putMailAside(directory: string, logger: Logger): void {
  const maildir = join(directory, "Maildir");
  const aside = `${maildir}.without-sidecar-${Date.now()}`;
  if (existsSync(maildir)) renameSync(maildir, aside);
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(directory, `index.db${suffix}`), { force: true });
  logger.warn(
    { aside },
    "sidecar.db was lost, or is another one: all is fetched again, what was here is put aside",
  );
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return [];
  }
}
