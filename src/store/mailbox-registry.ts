/**
 * The account's mailboxes: their records, written to both databases, and their folders. A folder is made
 * after its record and moved away before its record goes, so that a folder without a record is not ours.
 */
import { randomBytes } from "node:crypto";
import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import { MailError } from "../errors.ts";
import { type EncodedMailboxName, type MailboxId, modSeq, type UidValidity, uid } from "../mail/ids.ts";
import { unseenFolder } from "./folder-changes.ts";
import { createKeywordTable } from "./keyword-table.ts";
import { directoryOf, uniqueDirectory } from "./mailbox-directory.ts";
import { type MailboxFolder, makeFolder, messageFolders } from "./mailbox-folder.ts";
import { parseMaildirName } from "./maildir-name.ts";
import { createOthersLines } from "./others-lines.ts";
import { countFiles, moveFolder, noteSetAside } from "./set-aside-mailbox.ts";
import type { KeptMailbox } from "./sidecar-db.ts";
import type { AccountStore, MailboxRecord } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";
import { droppedPrefix } from "./sweep.ts";
import { syncPath } from "./sync-path.ts";

export interface MailboxRegistry {
  records(): readonly MailboxRecord[];
  /** Throws NONEXISTENT for a mailbox that was dropped. */
  kept(id: MailboxId): KeptMailbox;
  byName(name: EncodedMailboxName): KeptMailbox | undefined;
  folder(id: MailboxId): MailboxFolder;
  add(fields: Parameters<AccountStore["addMailbox"]>[0]): MailboxRecord;
  save(record: MailboxRecord): void;
  /** Gives it another name, and its folder with it; messages and UIDs stay. */
  rename(id: MailboxId, name: EncodedMailboxName): MailboxRecord;
  /** Forgets the mailbox; returns what to remove from the disk. */
  drop(id: MailboxId): string[];
  /** Forgets the mailbox, and keeps its files. */
  setAside(id: MailboxId): void;
  /** Forgets its messages and puts it under a new UIDVALIDITY. */
  reset(id: MailboxId, uidValidity: UidValidity): MailboxRecord;
}

export function createMailboxRegistry(context: StoreContext): MailboxRegistry {
  const { maildir, database, index, sidecar, expunges, maildrop, flusher } = context;
  const mailboxes = new Map<MailboxId, KeptMailbox>();
  const folders = new Map<MailboxId, MailboxFolder>();
  for (const kept of sidecar.mailboxes()) mailboxes.set(kept.record.id, kept);

  const kept = (id: MailboxId): KeptMailbox => {
    const mailbox = mailboxes.get(id);
    if (!mailbox) throw new MailError("NONEXISTENT", "Mailbox does not exist");
    return mailbox;
  };
  const folder = (id: MailboxId): MailboxFolder => {
    const known = folders.get(id);
    if (known) return known;
    const { record } = kept(id);
    const { uidValidity } = record;
    const path = join(maildir, record.directory);
    const made: MailboxFolder = {
      id,
      path,
      keywords: createKeywordTable(sidecar, id, () => folders.get(id)?.path ?? path, flusher.wrote),
      files: new Map(),
      uidValidity,
      scanned: false,
      get isLocal() {
        return context.isLocal;
      },
      wrote: flusher.wrote,
      strangers: new Set(),
      unreadable: new Set(),
      others: new Map(),
      listed: createOthersLines((name) => parseMaildirName(name)?.mailbox === id),
      freshFrom: undefined,
      young: new Map(),
      seen: unseenFolder(),
      oddLetters: new Map(),
      lock: undefined,
    };
    folders.set(id, made);
    return made;
  };
  const makeOnDisk = (record: MailboxRecord): void => {
    if (!isSelectable(record) || context.isPassing) return;
    makeFolder(join(maildir, record.directory), record.directory === "");
    flusher.wrote();
    if (context.isLocal) syncPath(maildir);
  };
  const write = (record: MailboxRecord): void => {
    database.transaction(() => {
      sidecar.saveMailbox(record);
      index.putMailbox(record.id, record.uidValidity, record.highestModSeq);
    });
    mailboxes.set(record.id, { ...kept(record.id), record });
  };

  const finishRename = (id: MailboxId): void => {
    const before = sidecar.readSetting(renamingKey(id));
    if (before === undefined || before === "") return;
    const [from, to] = [join(maildir, before), join(maildir, kept(id).record.directory)];
    if (context.isPassing) return;
    if (existsSync(from) && !existsSync(to)) renameSync(from, to);
    flusher.wrote();
    syncPath(maildir);
    sidecar.writeSetting(renamingKey(id), "");
  };
  for (const id of mailboxes.keys()) finishRename(id);
  const forget = (id: MailboxId): void => {
    database.transaction(() => {
      index.removeMailbox(id);
      sidecar.removeMailbox(id);
      expunges.remove(id);
      maildrop.forgetMailbox(id);
    });
    mailboxes.delete(id);
    folders.delete(id);
  };

  return {
    records: () => [...mailboxes.values()].map(({ record }) => record),
    kept,
    byName: (name) => [...mailboxes.values()].find(({ record }) => record.name === name),
    folder,
    add({ prefix, ...fields }) {
      const directory = uniqueDirectory(directoryOf({ ...fields, prefix }), (wanted) =>
        wanted === "" ? false : existsSync(join(maildir, wanted)) || isTaken(mailboxes, wanted),
      );
      const guid = newGuid();
      const unnumbered = { ...fields, ...unexamined, directory };
      const record = database.transaction(() => {
        const id = sidecar.addMailbox({ record: unnumbered, prefix, guid });
        index.putMailbox(id, undefined, modSeq(0n));
        index.setVerifiedBoot(id, context.bootId);
        return { ...unnumbered, id };
      });
      mailboxes.set(record.id, { record, prefix, guid });
      makeOnDisk(record);
      return record;
    },
    save(record) {
      const before = kept(record.id).record;
      if (before.uidValidity !== undefined && before.uidValidity !== record.uidValidity) {
        throw new Error(`mailbox ${record.id} changes its UIDVALIDITY by a reset only`);
      }
      write({ ...record, directory: before.directory });
      folder(record.id).uidValidity = record.uidValidity;
      if (!isSelectable(before) || before.uidValidity === undefined) makeOnDisk(record);
    },
    rename(id, name) {
      const { record, prefix } = kept(id);
      const { separator } = record;
      const directory = uniqueDirectory(directoryOf({ name, separator, prefix }), (wanted) =>
        existsSync(join(maildir, wanted)),
      );
      database.transaction(() => {
        // What was decided is finished at the next opening if it is cut off here.
        sidecar.writeSetting(renamingKey(id), record.directory);
        sidecar.renameMailbox(id, name, directory);
      });
      const renamed = { ...record, name, directory };
      mailboxes.set(id, { ...kept(id), record: renamed });
      finishRename(id);
      folder(id).path = join(maildir, directory);
      return renamed;
    },
    drop(id) {
      const { record } = kept(id);
      const paths = context.isPassing ? [] : moveAway(maildir, record);
      flusher.wrote();
      if (context.isLocal) syncPath(maildir);
      forget(id);
      return paths;
    },
    setAside(id) {
      const { name, directory } = kept(id).record;
      const from = join(maildir, directory);
      moveFolder(from, noteSetAside(context, id, { name, messages: countFiles(from) }));
      flusher.wrote();
      forget(id);
    },
    reset(id, uidValidity) {
      const { record } = kept(id);
      const guid = newGuid();
      database.transaction(() => {
        index.removeMailbox(id);
        sidecar.removeAllExtras(id);
        expunges.remove(id);
        maildrop.forgetMailbox(id);
        sidecar.setGuid(id, guid);
      });
      write({ ...record, uidValidity, uidNext: uid(1), highestModSeq: modSeq(0n) });
      mailboxes.set(id, { ...kept(id), guid });
      folder(id).uidValidity = uidValidity;
      folder(id).files.clear();
      folder(id).others.clear();
      return kept(id).record;
    },
  };
}

const renamingKey = (id: MailboxId): string => `renaming:${id}`;

const unexamined = {
  uidValidity: undefined,
  uidNext: uid(1),
  highestModSeq: modSeq(0n),
  flags: [],
  permanentFlags: [],
} as const;

function isSelectable({ attributes }: MailboxRecord): boolean {
  return !attributes.some((attribute) => /^\\(noselect|nonexistent)$/i.test(attribute));
}

function isTaken(mailboxes: ReadonlyMap<MailboxId, KeptMailbox>, directory: string): boolean {
  return [...mailboxes.values()].some(({ record }) => record.directory === directory);
}

/** Dovecot's form: 32 hex digits. */
function newGuid(): string {
  return randomBytes(16).toString("hex");
}

/** A folder goes in one rename; INBOX's is the Maildir itself, of which only its own parts go. */
function moveAway(maildir: string, { id, directory }: MailboxRecord): string[] {
  const own = [...messageFolders, "dovecot-uidlist", "dovecot-keywords"];
  const parts = directory === "" ? own.filter((name) => name !== "tmp") : [directory];
  const moved: string[] = [];
  for (const part of parts) {
    const target = join(maildir, "tmp", `${droppedPrefix}${id}-${part}`);
    try {
      renameSync(join(maildir, part), target);
      moved.push(target);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }
  return moved;
}
