/**
 * Mail that another agent puts into a local account's folders: into new/, as every Maildir delivery does, or into cur/,
 * where a mail reader on this machine moves it. It becomes a message here as it is, under its own name, with the UID
 * that dovecot-uidlist gives it, or a new one under that list's lock: a Dovecot beside us and we tell the same UIDs.
 *
 * A kill in between doubles nothing: a file has one UID in the list, and is taken under that one or under the next.
 */
import { existsSync, type FSWatcher, lstatSync, renameSync, watch } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { type Flags, flagsOf } from "../mail/flags.ts";
import { type ModSeq, type Uid, uid } from "../mail/ids.ts";
import { type DroppedFile, inspectFile, versionOfFile } from "./dropped-file.ts";
import { flagsOfLetters } from "./flag-letters.ts";
import { changeFolder, noteDoubt } from "./folder-changes.ts";
import { isPlain } from "./folder-scan.ts";
import type { KeywordTable } from "./keyword-table.ts";
import { curPath, type MailboxFolder } from "./mailbox-folder.ts";
import { baseOf, lettersOf, parseMaildirName, withLetters } from "./maildir-name.ts";
import { putExtras } from "./save-messages.ts";
import type { MailboxRecord, StoredMessage, TakenMail, Taking } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";
import { syncPath } from "./sync-path.ts";

/** Others get their turn, and the lock, in between. */
const messagesPerBatch = 100;

/** A file that nobody has written to for so long is whole. */
const quietMs = 2_000;

type Taken = StoredMessage & { readonly presence: "full" };

interface Wanted {
  readonly path: string;
  /** As dovecot-uidlist has it; undefined where it has no UID yet. */
  readonly uid: Uid | undefined;
  /** Its name can be that of a message, and is no other's. */
  readonly keepsName: boolean;
}

interface Found extends Wanted {
  readonly file: DroppedFile;
}

export interface TakePlace {
  readonly context: StoreContext;
  readonly folder: MailboxFolder;
  readonly record: MailboxRecord;
  /** Makes their lines in dovecot-uidlist durable. */
  readonly writeLines: (names: ReadonlyMap<Uid, string>) => Promise<void>;
}

/** Whether others have put anything there that can be taken, as far as the last scan knows. */
export function hasDropped({ strangers, unreadable }: MailboxFolder): boolean {
  return strangers.size > unreadable.size;
}

/**
 * Takes some of it, the first to arrive first. The caller has the lock. What cannot be read is logged, and stays where
 * it is.
 */
export async function takeDropped(place: TakePlace, taking: Taking): Promise<TakenMail> {
  const { context, folder, record } = place;
  const freshFrom = Math.max(folder.freshFrom ?? record.uidNext, taking.aboveAll);
  const isForgotten = await readListed(folder, freshFrom);
  const { batch, isLast } = nextBatch(folder, freshFrom);
  const found: Found[] = [];
  for (const wanted of batch) {
    const file = await inspectOne(context, folder, wanted.path);
    if (file) found.push({ ...wanted, file });
  }
  const withUids = giveUids(place, found, taking);
  const messages = moveIn(folder, withUids, taking.modSeq);
  try {
    context.database.transaction(() => {
      for (const { message } of messages) putExtras(context, folder, message);
    });
    for (const sub of ["cur", "new"]) syncPath(join(folder.path, sub));
    const unlisted = messages.filter(({ isListed }) => !isListed);
    if (unlisted.length > 0)
      await place.writeLines(new Map(unlisted.map(({ message }) => [message.uid, message.fileName])));
  } catch (error) {
    for (const { message } of messages) forgetOthers(folder, message.uid);
    throw error;
  }
  context.database.transaction(() => {
    for (const { message } of messages) context.index.putMeta(folder.id, message);
  });
  if (isLast) folder.freshFrom = undefined;
  // What has another name meanwhile is found by another look.
  const hasMissed = isForgotten || messages.length < batch.length;
  return { messages: messages.map(({ message }) => message), isMore: hasMissed || hasDropped(folder) };
}

/** It is no message any more, and its file is taken as another one where it is there. */
export function forgetOthers(folder: MailboxFolder, number: Uid): void {
  const name = folder.files.get(number);
  if (name === undefined) return;
  folder.files.delete(number);
  folder.young.delete(number);
  if (folder.others.delete(baseOf(name))) folder.strangers.add(join("cur", name));
}

/** Of messages that were taken a moment ago: those that were not whole then, and are others now. */
export function forgetUnfinished(folder: MailboxFolder): void {
  for (const [number, { version, takenAt }] of folder.young) {
    const name = folder.files.get(number);
    const stats =
      name === undefined
        ? undefined
        : lstatSync(curPath(folder, name), { bigint: true, throwIfNoEntry: false });
    if (stats && versionOfFile(stats) !== version) forgetOthers(folder, number);
    else if (!stats || performance.now() - takenAt > quietMs) folder.young.delete(number);
  }
}

/**
 * What a message's flags are by the name that its file has now; keywords past the 26th are not in names. undefined where
 * a keyword is not in dovecot-keywords yet, which Dovecot writes after it has renamed files.
 */
export function flagsOfFile(
  folder: MailboxFolder,
  { fileName: known, flags: before }: Pick<Taken, "fileName" | "flags">,
  fileName: string,
): Flags | undefined {
  const { keywords } = folder;
  const letters = lettersOf(fileName);
  if (letters === lettersOf(known)) return before;
  if (oddLettersOf(letters, keywords).length > 0) keywords.refresh();
  if (oddLettersOf(letters, keywords).some((letter) => isNewTo(folder, letter))) {
    noteDoubt(folder);
    return undefined;
  }
  return flagsOfLetters(letters, keywords.letters(before).extraSlots, keywords.names);
}

function oddLettersOf(letters: string, { names }: KeywordTable): readonly string[] {
  return letters.match(/[a-z]/g)?.filter((letter) => flagsOfLetters(letter, [], names).length === 0) ?? [];
}

/** That it is not explained was found a moment ago. */
function isNewTo({ oddLetters }: MailboxFolder, letter: string): boolean {
  const since = oddLetters.get(letter) ?? performance.now();
  oddLetters.set(letter, since);
  return performance.now() - since < quietMs;
}

/**
 * Calls `onChange` whenever something comes or is renamed, until what is returned is called. Throws where the system has
 * no watch left to give; on a network file system nothing may be told.
 */
export function watchFolder(folder: MailboxFolder, onChange: () => void, onError: (error: unknown) => void) {
  const watchers: FSWatcher[] = [];
  const close = (): void => {
    for (const watcher of watchers) watcher.close();
  };
  try {
    for (const sub of ["new", "cur"]) {
      const watcher = watch(join(folder.path, sub), { persistent: false }, onChange);
      watcher.on("error", onError);
      watchers.push(watcher);
    }
  } catch (error) {
    close();
    throw error;
  }
  return close;
}

/** A message that a Dovecot beside us tells under another UID now is another one here, too. */
async function readListed(folder: MailboxFolder, freshFrom: number): Promise<boolean> {
  const { listed, others } = folder;
  let isForgotten = false;
  await listed.read(folder.path, folder.uidValidity);
  for (const [base, line] of listed.lines) {
    const known = others.get(base);
    if (known === undefined) continue;
    if (known.uid === line.uid) listed.lines.delete(base);
    else if (line.uid >= freshFrom) {
      forgetOthers(folder, known.uid);
      noteDoubt(folder);
      isForgotten = true;
    }
  }
  return isForgotten;
}

/** Those that have a UID come first: what gets one now is above them. */
function nextBatch(folder: MailboxFolder, freshFrom: number): { batch: Wanted[]; isLast: boolean } {
  const { strangers, unreadable, others, listed } = folder;
  const wantedOf = (path: string): Wanted => {
    const name = basename(path);
    const base = baseOf(name);
    const keepsName = canKeepName(folder, name) && !others.has(base) && claims.get(base) === path;
    const line = keepsName ? listed.lines.get(base) : undefined;
    return { path, keepsName, uid: line && line.uid >= freshFrom ? line.uid : undefined };
  };
  const claims = new Map<string, string>();
  for (const path of strangers) {
    const base = baseOf(basename(path));
    // Where it is in both, the one in cur/ needs no other name.
    if (!claims.has(base) || path.startsWith("cur")) claims.set(base, path);
  }
  const wanted = [...strangers]
    .filter((path) => !unreadable.has(path))
    .map(wantedOf)
    .sort(byArrival);
  return { batch: wanted.slice(0, messagesPerBatch), isLast: wanted.length <= messagesPerBatch };
}

async function inspectOne(
  { logger }: StoreContext,
  folder: MailboxFolder,
  path: string,
): Promise<DroppedFile | undefined> {
  try {
    return await inspectFile(bytesOf(folder, path));
  } catch (error) {
    const code = errorCode(error);
    if (code !== undefined && passing.has(code)) throw error;
    // Taken away again since it was listed, by a mail reader perhaps.
    if (code === "ENOENT") forgetStranger(folder, path);
    else {
      folder.unreadable.add(path);
      logger.warn({ err: error, file: join(folder.path, path) }, "mail that was dropped here cannot be read");
    }
    return undefined;
  }
}

/** Of this process or system, not of the file. */
const passing: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ESTALE"]);

/** A name that went away may be there under another one: the next look tells. */
function forgetStranger(folder: MailboxFolder, path: string): void {
  folder.strangers.delete(path);
  noteDoubt(folder);
}

function giveUids(
  { context, folder }: TakePlace,
  found: readonly Found[],
  { reserve, raiseUidNext, modSeq }: Taking,
): readonly ToMove[] {
  const listed = found.flatMap((one) =>
    one.uid === undefined ? [] : [{ ...one, uid: one.uid, isListed: true }],
  );
  const unlisted = found.filter((one) => one.uid === undefined);
  const last = listed.at(-1);
  // Before UIDNEXT, below which a line without one is of a message that was expunged.
  context.database.transaction(() => {
    for (const one of listed) putExtras(context, folder, metaOf(folder, one, modSeq));
  });
  if (last) raiseUidNext(uid(last.uid + 1));
  if (unlisted.length === 0) return listed;
  const first = reserve(unlisted.length, uid(folder.listed.uidNext));
  return [...listed, ...unlisted.map((one, index) => ({ ...one, uid: uid(first + index), isListed: false }))];
}

interface ToMove extends Found {
  readonly uid: Uid;
  /** dovecot-uidlist has a line of it. */
  readonly isListed: boolean;
}

interface MovedIn {
  readonly message: Taken;
  readonly isListed: boolean;
}

function moveIn(folder: MailboxFolder, found: readonly ToMove[], modSeq: ModSeq): MovedIn[] {
  const moved: MovedIn[] = [];
  for (const one of found) {
    const { path, file, isListed } = one;
    const fileName = nameIn(folder, one);
    if (fileName === undefined) {
      forgetStranger(folder, path);
      continue;
    }
    try {
      if (path !== join("cur", fileName)) {
        changeFolder(folder, () => renameSync(bytesOf(folder, path), curPath(folder, fileName)));
        folder.wrote();
      }
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
      forgetStranger(folder, path);
      continue;
    }
    const base = baseOf(fileName);
    const fields = isListed ? folder.listed.lines.get(base)?.fields : undefined;
    folder.strangers.delete(path);
    folder.listed.lines.delete(base);
    folder.others.set(base, { uid: one.uid, fields: fields ?? [] });
    folder.files.set(one.uid, fileName);
    if (file.youngVersion) {
      folder.young.set(one.uid, { version: file.youngVersion, takenAt: performance.now() });
    }
    moved.push({ message: { presence: "full", fileName, ...metaOf(folder, one, modSeq) }, isListed });
  }
  return moved;
}

function metaOf(folder: MailboxFolder, { path, uid: number, file }: ToMove, modSeq: ModSeq) {
  const name = basename(path);
  const { keywords } = folder;
  return {
    uid: number,
    flags: flagsOfFile(folder, noName, name) ?? flagsOfLetters(lettersOf(name), [], keywords.names),
    internalDate: { epochSeconds: file.epochSeconds, zoneMinutes: 0 },
    sizeBytes: file.sizeBytes,
    modSeq,
  };
}

const noName = { fileName: "", flags: flagsOf([]) };

/**
 * Its own name in cur/, unless that cannot be kept, or is another message's. undefined where the name by which
 * dovecot-uidlist knows it has just been taken.
 */
function nameIn(folder: MailboxFolder, { path, isListed, keepsName }: ToMove): string | undefined {
  const name = basename(path);
  const letters = lettersOf(name).replace(/[^A-Za-z]/g, "");
  if (keepsName) {
    if (path === join("cur", name)) return name;
    const wanted = withLetters(name, letters);
    if (!existsSync(curPath(folder, wanted))) return wanted;
  }
  if (isListed) return undefined;
  const now = Date.now();
  const micros = String((now % 1000) * 1000 + (namesMade % 1000)).padStart(6, "0");
  const host = hostname().replace(/[^\w.-]/g, "_");
  return withLetters(`${Math.floor(now / 1000)}.M${micros}P${process.pid}Q${++namesMade}.${host}`, letters);
}

let namesMade = 0;

/** Names of ours in this mailbox tell another UID. A Dovecot beside us makes copies under the names of another's. */
function canKeepName(folder: MailboxFolder, name: string): boolean {
  return isPlain(name) && parseMaildirName(name)?.mailbox !== folder.id;
}

function bytesOf(folder: MailboxFolder, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from(path, "latin1")]);
}

/** As Dovecot orders files that it does not know: by the seconds at the start of the name, then by the name. */
function byArrival(a: Wanted, b: Wanted): number {
  if (a.uid !== undefined || b.uid !== undefined) {
    return (a.uid ?? Number.POSITIVE_INFINITY) - (b.uid ?? Number.POSITIVE_INFINITY);
  }
  const [nameA, nameB] = [basename(a.path), basename(b.path)];
  return seconds(nameA) - seconds(nameB) || (nameA < nameB ? -1 : 1);
}

function seconds(name: string): number {
  return Number.parseInt(name, 10) || 0;
}
