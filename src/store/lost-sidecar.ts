/**
 * What an account's databases say when they are opened, held against its Maildir. Where its sidecar.db is empty and
 * nothing has a copy of it, mail that has no other home is taken from the Maildir (rebuild-sidecar.ts), and is never
 * served as empty. The legacy server's is asked for again: what was here is put aside.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Logger, silentLogger } from "../log.ts";
import { type AccountDatabase, openAccountDatabase } from "./database.ts";
import { makeFolder } from "./mailbox-folder.ts";
import { namesInNow } from "./names-in.ts";
import type { AccountStoreOptions } from "./open.ts";
import { isRebuilding, rebuildFromFolders } from "./rebuild-sidecar.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreTrouble } from "./store-errors.ts";

export interface OpenedDatabase {
  readonly database: AccountDatabase;
  /** What had to be done, for the operator. */
  readonly repairs: string[];
}

const lostWords =
  "the time zones of dates, the sizes of the old server's LIST, the operator's decisions and how far the old server had been looked at since the cutover are lost (nothing more is brought over from there)";

export function openDatabase(directory: string, options: AccountStoreOptions): OpenedDatabase {
  const { durable = false, mustExist = false, logger = silentLogger } = options;
  const maildir = join(directory, "Maildir");
  if (mustExist && !existsSync(maildir)) throw nothingThere(directory, logger);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const repairs: string[] = [];
  const tell = (words: string): void => {
    logger.warn({ directory }, words);
    repairs.push(words);
  };
  let database = openAccountDatabase(directory, durable);
  const { indexWasDamaged, isRestored, isOtherSidecar, sidecar } = database;
  if (indexWasDamaged) logger.warn({ directory }, "index.db was damaged or old, and is made anew");
  if (isRestored) tell(`sidecar.db was ${sidecar}: it was made again from index.db, as it was`);
  if (!durable && (isOtherSidecar || isEmpty(database)) && holdsMail(maildir)) {
    database.close();
    const aside = putMailAside(directory);
    tell(
      `sidecar.db was ${isOtherSidecar ? "another one" : sidecar}: all is fetched again, and ${aside} has what was here`,
    );
    database = openAccountDatabase(directory, durable);
  }
  makeFolder(maildir, true);
  return { database, repairs };
}

/** Mail that has no other home: what the databases do not know is taken from the folders. */
export async function rebuildWhereLost(
  context: StoreContext,
  { durable = false, mustExist = false }: AccountStoreOptions,
): Promise<readonly string[]> {
  const { database, directory, maildir, logger } = context;
  if (!durable) return [];
  // Without its index nobody knows whether a sidecar is an old one.
  const isAlone = database.isNew || database.indexWasDamaged || isRebuilding(context);
  const isWanted = isEmpty(database) ? holdsMail(maildir) : isAlone;
  const mailboxes = isWanted ? await rebuildFromFolders(context) : [];
  if (mustExist && isEmpty(database)) throw nothingThere(directory, logger);
  if (mailboxes.length === 0) return [];
  const words = `sidecar.db was ${database.sidecar}: ${mailboxes.length} mailboxes were made again from the Maildir; ${lostWords}`;
  logger.error({ directory, mailboxes }, words);
  return [words];
}

/** Whether a Maildir was ever written to. */
function holdsMail(maildir: string): boolean {
  if (existsSync(join(maildir, "dovecot-uidlist"))) return true;
  const isFolder = (name: string): boolean => name.startsWith(".") && existsSync(join(maildir, name, "cur"));
  return (
    namesInNow(maildir).some(isFolder) ||
    ["cur", "new"].some((name) => namesInNow(join(maildir, name)).length > 0)
  );
}

/** Before the databases are opened anew. Where it is now. */
function putMailAside(directory: string): string {
  const maildir = join(directory, "Maildir");
  const aside = `Maildir.without-sidecar-${Date.now()}`;
  if (existsSync(maildir)) renameSync(maildir, join(directory, aside));
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(directory, `index.db${suffix}`), { force: true });
  return aside;
}

function isEmpty({ db }: AccountDatabase): boolean {
  return db.prepare("SELECT 1 FROM side.mailboxes LIMIT 1").get() === undefined;
}

function nothingThere(directory: string, logger: Logger): StoreTrouble {
  const error = new Error(`${directory} has no mail at all, and is a local account's: is a disk missing?`);
  logger.error({ err: error }, "the account is not served");
  return new StoreTrouble(error);
}
