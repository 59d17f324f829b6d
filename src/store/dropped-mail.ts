/**
 * Mail that another agent puts into a local account's folders: into new/, as every Maildir delivery does, or
 * into cur/, where a mail reader on this machine moves it. It is read, given CRLF line ends (which is how
 * Dovecot would serve it), and becomes a message of ours; then the file that was dropped goes.
 *
 * A kill in between doubles nothing: which file becomes which UID is written down before, and a file whose
 * message is there already is only removed.
 */
import { type BigIntStats, type FSWatcher, statSync, watch } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { MailError } from "../errors.ts";
import type { Flags } from "../mail/flags.ts";
import { type MailboxId, type Uid, uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { IncomingMessage } from "../mail/new-message.ts";
import { createBareLfCounter, withCrlf } from "./bare-lf.ts";
import { flagsOfLetters } from "./flag-letters.ts";
import { type MailboxFolder, removeIfThere } from "./mailbox-folder.ts";
import { lettersOf, parseMaildirName } from "./maildir-name.ts";
import type { DroppedMessage, MessageToAdd } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode, toStoreError } from "./store-errors.ts";
import { syncPath } from "./sync-path.ts";

/** Each keeps a file open until it is added. */
const messagesPerBatch = 50;

const pieceBytes = 256 << 10;

/** [UID, path below the mailbox's folder]. */
type Adoption = readonly [uid: number, path: string];

/**
 * The next of them, the first to arrive first. What cannot be read is logged and stays where it is, and what may
 * still be written is left for later (`waiting`); `receive` makes room for a message of so many bytes.
 */
export async function readDropped(
  context: StoreContext,
  folder: MailboxFolder,
  receive: (sizeBytes: number) => IncomingMessage,
): Promise<{ readonly dropped: DroppedMessage[]; readonly waiting: boolean }> {
  finishAdoption(context, folder);
  const paths = [...folder.strangers, ...(await namesInNew(folder)).map((name) => join("new", name))]
    .filter((path) => !folder.unreadable.has(path))
    .sort(byArrival);
  const dropped: DroppedMessage[] = [];
  let waiting = false;
  try {
    for (const path of paths) {
      if (dropped.length === messagesPerBatch) break;
      const message = await readOne(context, folder, path, receive);
      if (message === "later") waiting = true;
      else if (message) dropped.push(message);
    }
    return { dropped, waiting };
  } catch (error) {
    for (const { incoming } of dropped) incoming.discard();
    throw error;
  }
}

/** `first`: the UIDs of the others follow. */
export function toAdd(
  dropped: readonly DroppedMessage[],
  { uid: first, modSeq }: Pick<MessageMeta, "uid" | "modSeq">,
): MessageToAdd[] {
  return dropped.map(({ flags, epochSeconds, incoming }, index) => {
    const { sizeBytes } = incoming;
    const internalDate = { epochSeconds, zoneMinutes: 0 };
    const meta = { uid: uid(first + index), flags, internalDate, sizeBytes, modSeq };
    return { meta, content: incoming.open() };
  });
}

/** Removes the files whose messages are there, but none that has changed since it was read. */
export function endAdoption(
  context: StoreContext,
  folder: MailboxFolder,
  dropped: readonly DroppedMessage[],
): void {
  const changed = dropped.filter(({ path, version }) => {
    const found = statSync(join(folder.path, path), { bigint: true, throwIfNoEntry: false });
    return found && versionOf(found) !== version;
  });
  for (const { path } of changed) {
    context.logger.error({ file: join(folder.path, path) }, "mail was dropped here before it was whole");
  }
  finishAdoption(context, folder, new Set(changed.map(({ path }) => path)));
}

/** To be called before they are added. */
export function beginAdoption(
  { sidecar }: StoreContext,
  { id }: MailboxFolder,
  dropped: readonly DroppedMessage[],
  first: Uid,
): void {
  const adoptions = dropped.map(({ path }, index): Adoption => [first + index, path]);
  sidecar.writeSetting(adoptingKey(id), JSON.stringify(adoptions));
}

/** Settles what a kill has cut off. */
function finishAdoption(
  { sidecar }: StoreContext,
  folder: MailboxFolder,
  changed: ReadonlySet<string> = new Set(),
): void {
  const kept = sidecar.readSetting(adoptingKey(folder.id)) ?? "";
  if (kept === "") return;
  for (const [number, path] of JSON.parse(kept) as Adoption[]) {
    if (!folder.files.has(uid(number)) || changed.has(path)) continue;
    removeIfThere(join(folder.path, path));
    folder.wrote();
    folder.strangers.delete(path);
  }
  for (const name of ["cur", "new"]) syncPath(join(folder.path, name));
  sidecar.writeSetting(adoptingKey(folder.id), "");
}

/**
 * Calls `onChange` whenever something comes into new/, until what is returned is called. Throws where the
 * system has no watch left to give; on a network file system nothing may be told.
 */
export function watchNew(folder: MailboxFolder, onChange: () => void, onError: (error: unknown) => void) {
  const watcher: FSWatcher = watch(join(folder.path, "new"), { persistent: false }, onChange);
  watcher.on("error", onError);
  return (): void => watcher.close();
}

const adoptingKey = (id: MailboxId): string => `adopting:${id}`;

async function readOne(
  { logger }: StoreContext,
  folder: MailboxFolder,
  path: string,
  receive: (sizeBytes: number) => IncomingMessage,
): Promise<DroppedMessage | "later" | undefined> {
  const absolute = join(folder.path, path);
  try {
    const found = await stat(absolute, { bigint: true });
    if (!found.isFile()) throw new Error("it is not a file");
    if (mayBeWritten(found)) return "later";
    const version = versionOf(found);
    const incoming = await receiveFile(absolute, receive);
    if (!incoming) return "later";
    const epochSeconds = Number(found.mtimeMs / 1000n);
    return { path, version, flags: flagsIn(folder, path), epochSeconds, incoming };
  } catch (error) {
    if (error instanceof MailError) throw error;
    const code = errorCode(error);
    if (code !== undefined && passing.has(code)) throw toStoreError(error);
    // Taken away again since it was listed, by a mail reader perhaps.
    if (code === "ENOENT") folder.strangers.delete(path);
    else {
      folder.unreadable.add(path);
      logger.warn({ err: error, file: absolute }, "mail that was dropped here cannot be read");
    }
    return undefined;
  }
}

/** Of this process or system, not of the file. */
const passing: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ESTALE"]);

/**
 * A delivery agent renames or links a file that is whole, which changes its ctime alone. Where ctime is the time
 * of the last write, somebody may be writing in place: such a file is left alone for a while.
 */
function mayBeWritten({ ctimeNs, mtimeNs, ctimeMs }: BigIntStats): boolean {
  return ctimeNs === mtimeNs && Date.now() - Number(ctimeMs) < quietMs;
}

const quietMs = 2_000;

function versionOf({ ino, size, mtimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs}`;
}

/** undefined where its size changes meanwhile. */
async function receiveFile(
  path: string,
  receive: (sizeBytes: number) => IncomingMessage,
): Promise<IncomingMessage | undefined> {
  await using file = await open(path, "r");
  const counter = createBareLfCounter();
  let sizeBytes = 0;
  for await (const bytes of pieces(file)) {
    counter.add(bytes);
    sizeBytes += bytes.length;
  }
  const incoming = receive(sizeBytes + counter.count);
  try {
    let last = 0;
    let leftBytes = incoming.sizeBytes;
    for await (const bytes of pieces(file)) {
      const crlf = withCrlf(bytes, last);
      await incoming.write(crlf);
      leftBytes -= crlf.length;
      last = bytes.at(-1) ?? last;
    }
    if (leftBytes === 0) return incoming;
    incoming.discard();
    return undefined;
  } catch (error) {
    incoming.discard();
    // It has grown since it was counted.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

async function* pieces(file: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ; ) {
    const bytes = Buffer.allocUnsafe(pieceBytes);
    const { bytesRead } = await file.read(bytes, 0, pieceBytes, at);
    if (bytesRead === 0) return;
    yield bytes.subarray(0, bytesRead);
    at += bytesRead;
  }
}

function flagsIn(folder: MailboxFolder, path: string): Flags {
  return flagsOfLetters(lettersOf(path), [], folder.keywords.names);
}

/** What is named as ours there is a backup that was put back: the next scan looks at it. */
async function namesInNew(folder: MailboxFolder): Promise<string[]> {
  const names = await readdir(join(folder.path, "new"));
  return names.filter((name) => !name.startsWith(".") && parseMaildirName(name)?.mailbox !== folder.id);
}

/** As Dovecot orders files that it does not know: by the seconds at the start of the name, then by the name. */
function byArrival(a: string, b: string): number {
  const [nameA, nameB] = [basename(a), basename(b)];
  return seconds(nameA) - seconds(nameB) || (nameA < nameB ? -1 : 1);
}

function seconds(name: string): number {
  return Number.parseInt(name, 10) || 0;
}
