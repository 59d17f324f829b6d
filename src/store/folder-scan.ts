/**
 * Looks at a mailbox's folder and brings `files` in step with it. Files that others put there are noted and left
 * alone; files of an earlier UIDVALIDITY (a reset was cut off) are removed; of two files of one message
 * the whole and younger one stays. While mail is being filed and renamed, a listing can be old by the
 * time it is read: where it contradicts what is known, the file itself is looked at.
 */
import { existsSync, readdirSync, renameSync, type Stats, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Uid } from "../mail/ids.ts";
import { curPath, type MailboxFolder, makeFolder, removeFile } from "./mailbox-folder.ts";
import { baseOf, parseMaildirName, withLetters } from "./maildir-name.ts";
import { errorCode, isRefusal, storing } from "./store-errors.ts";

/** Names looked at before others get a turn. */
const namesPerTurn = 5_000;

export async function scanFolder(folder: MailboxFolder): Promise<void> {
  await moveFromNew(folder);
  const names = await listOrMake(folder, "cur");
  const seen = new Set<Uid>();
  folder.strangers.clear();
  for (const [index, name] of names.entries()) {
    if (index % namesPerTurn === namesPerTurn - 1) await nextTurn();
    const parsed = parseMaildirName(name);
    if (!parsed || parsed.mailbox !== folder.id) {
      if (!name.startsWith(".")) folder.strangers.add(join("cur", name));
      continue;
    }
    if (parsed.uidValidity !== folder.uidValidity) {
      if (folder.isLocal) folder.strangers.add(join("cur", name));
      else removeFile(folder, name);
      continue;
    }
    seen.add(parsed.uid);
    const known = folder.files.get(parsed.uid);
    if (known === undefined) folder.files.set(parsed.uid, name);
    else if (known !== name) settleDouble(folder, parsed.uid, known, name);
  }
  for (const [uid, name] of folder.files) {
    if (!seen.has(uid) && !existsSync(curPath(folder, name))) folder.files.delete(uid);
  }
  folder.scanned = true;
}

/**
 * Notes the files of `uids` that a mail reader on this machine has renamed, and tells their names. Synchronous:
 * it runs only when a file is not where it was.
 */
export function findRenamed(folder: MailboxFolder, uids: readonly Uid[]): ReadonlyMap<Uid, string> {
  const wanted = new Set(uids);
  const found = new Map<Uid, string>();
  for (const name of readdirSync(join(folder.path, "cur"))) {
    const parsed = parseMaildirName(name);
    if (parsed?.mailbox !== folder.id || parsed.uidValidity !== folder.uidValidity) continue;
    if (!wanted.has(parsed.uid)) continue;
    folder.files.set(parsed.uid, name);
    found.set(parsed.uid, name);
  }
  return found;
}

/** A file of ours in new/ (a restored backup): nothing here looks for mail there. */
async function moveFromNew(folder: MailboxFolder): Promise<void> {
  for (const name of await listOrMake(folder, "new")) {
    const parsed = parseMaildirName(name);
    if (!parsed || parsed.mailbox !== folder.id) continue;
    renameSync(join(folder.path, "new", name), curPath(folder, withLetters(baseOf(name), parsed.letters)));
    folder.wrote();
  }
}

function settleDouble(folder: MailboxFolder, uid: Uid, known: string, other: string): void {
  const knownStat = wholeFile(folder, known);
  const otherStat = wholeFile(folder, other);
  const keepOther = otherStat && (!knownStat || otherStat.ctimeMs > knownStat.ctimeMs);
  const [keep, drop] = keepOther ? [other, known] : [known, other];
  removeFile(folder, drop);
  folder.files.set(uid, keep);
}

function wholeFile(folder: MailboxFolder, name: string): Stats | undefined {
  const stat = statSync(curPath(folder, name), { throwIfNoEntry: false });
  return stat?.size === parseMaildirName(name)?.sizeBytes ? stat : undefined;
}

async function listOrMake(folder: MailboxFolder, sub: "cur" | "new"): Promise<string[]> {
  try {
    return await readdir(join(folder.path, sub));
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    makeMissing(folder);
    return [];
  }
}

/** What a full disk does not take of a mailbox that is not local is served without it. */
function makeMissing(folder: MailboxFolder): void {
  try {
    storing(() => makeFolder(folder.path, false));
    folder.wrote();
  } catch (error) {
    if (folder.isLocal || !isRefusal(error)) throw error;
  }
}
