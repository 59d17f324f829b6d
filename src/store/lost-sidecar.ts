/**
 * An account's folder whose sidecar.db is gone while mail is in it. What a client was told of that mail
 * (which mailbox a folder is, dates, sizes) cannot be had from an empty sidecar. Mail that has no other home
 * is not served then, never as empty. The legacy server's is asked for again: what was here is put aside.
 */
import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../log.ts";
import { StoreTrouble } from "./store-errors.ts";

/** Before anything is made in the folder. Throws UNAVAILABLE, nothing touched, where `isOnlyHome`. */
export function meetLostSidecar(directory: string, isOnlyHome: boolean, logger: Logger): void {
  if (existsSync(join(directory, "sidecar.db"))) return;
  const maildir = join(directory, "Maildir");
  const traces = [join(directory, "index.db"), join(maildir, "dovecot-uidlist")];
  if (!traces.some((path) => existsSync(path))) return;
  if (isOnlyHome) {
    const error = new Error(`${directory} has mail and no sidecar.db: put it back from a backup`);
    logger.error({ err: error }, "the account is not served");
    throw new StoreTrouble(error);
  }
  const aside = `${maildir}.without-sidecar-${Date.now()}`;
  if (existsSync(maildir)) renameSync(maildir, aside);
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(directory, `index.db${suffix}`), { force: true });
  logger.warn({ aside }, "sidecar.db is gone: all is fetched again, what was here is put aside");
}
