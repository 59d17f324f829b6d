/**
 * Which keyword has which slot in one mailbox. A slot is given once and kept for good, in the sidecar
 * first; dovecot-keywords says the same of the first 26. Keywords are told apart without case, as Dovecot
 * does: the spelling of the slot is that of the first to come.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Flags } from "../mail/flags.ts";
import type { MailboxId } from "../mail/ids.ts";
import { tryDotlock, uidlistLock } from "./dotlock.ts";
import { parseKeywords, writeKeywordsFile } from "./dovecot-keywords.ts";
import { type FlagLetters, flagLetters, type Keywords, letterSlots } from "./flag-letters.ts";
import type { SidecarDb } from "./sidecar-db.ts";
import { errorCode, isRefusal, toStoreError } from "./store-errors.ts";

export interface KeywordTable {
  readonly names: Keywords;
  /** dovecot-keywords does not say it all. */
  readonly isBehind: boolean;
  /** Gives slots to keywords that have none. */
  letters(flags: Flags): FlagLetters;
  /** Takes in what others have added to dovecot-keywords. */
  refresh(): void;
  /** Slots that were given may not be written down: a full disk took them back. */
  doubt(): void;
  /** Writes what is in doubt, and dovecot-keywords if it is behind and nobody holds the lock; else the next checkpoint does. */
  flush(): void;
  /** The same; the caller holds the lock. */
  write(): void;
}

/** Bound on the table of combinations. */
const maxRemembered = 10_000;

/** `folder`: the mailbox's path now; `wrote` is told of each change of its file. */
export function createKeywordTable(
  sidecar: SidecarDb,
  mailbox: MailboxId,
  folder: () => string,
  wrote: () => void,
): KeywordTable {
  const path = (): string => join(folder(), "dovecot-keywords");
  const names = sidecar.keywords(mailbox);
  const slots = new Map<string, number>();
  const remembered = new Map<Flags, FlagLetters>();
  let [behind, inDoubt] = [false, false];

  names.forEach((name, slot) => {
    slots.set(name.toLowerCase(), slot);
  });
  const add = (name: string, slot: number): void => {
    sidecar.putKeyword(mailbox, slot, name);
    names[slot] = name;
    slots.set(name.toLowerCase(), slot);
  };
  let readVersion: string | undefined;
  const refresh = (): void => {
    const stats = statSync(path(), { bigint: true, throwIfNoEntry: false });
    const version = stats && `${stats.ino} ${stats.size} ${stats.mtimeNs}`;
    if (version === readVersion) return;
    readVersion = version;
    readKeywords(path()).forEach((name, slot) => {
      if (names[slot] === undefined && !slots.has(name.toLowerCase())) add(name, slot);
    });
  };
  refresh();
  const slotOf = (name: string): number => {
    const known = slots.get(name.toLowerCase());
    if (known !== undefined) return known;
    refresh();
    const added = slots.get(name.toLowerCase());
    if (added !== undefined) return added;
    let slot = 0;
    while (names[slot] !== undefined) slot++;
    add(name, slot);
    if (slot < letterSlots) behind = true;
    return slot;
  };
  const write = (): void => {
    if (!behind) return;
    refresh();
    writeKeywordsFile(path(), names);
    wrote();
    behind = false;
  };

  const writeIfFree = (): void => {
    const lock = tryDotlock(join(folder(), "dovecot-uidlist"), uidlistLock);
    if (!lock) return;
    try {
      write();
    } finally {
      lock.release();
    }
  };

  return {
    names,
    get isBehind() {
      return behind;
    },
    letters(flags) {
      const known = remembered.get(flags);
      if (known) return known;
      const letters = flagLetters(flags, slotOf);
      if (remembered.size < maxRemembered) remembered.set(flags, letters);
      return letters;
    },
    doubt() {
      inDoubt = true;
    },
    flush() {
      if (inDoubt) names.forEach((name, slot) => void sidecar.putKeyword(mailbox, slot, name));
      behind ||= inDoubt;
      inDoubt = false;
      if (!behind) return;
      try {
        writeIfFree();
      } catch (error) {
        // Where there is no room the next one does.
        if (!isRefusal(toStoreError(error)) && errorCode(error) !== "ENOENT") throw error;
      }
    },
    refresh,
    write,
  };
}

function readKeywords(path: string): string[] {
  try {
    return parseKeywords(readFileSync(path, "latin1"));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
