/**
 * sidecar.db: the durable home of what a client was told and Maildir cannot hold. A message has a row
 * here from just before its file appears: the row says that zone, size and MODSEQ of that file's message
 * are known, so that the index can be made anew from file and row; a file without a row is fetched about
 * again. Also every mailbox (its lasting id, name, folder, GUID), its keywords and the account's settings.
 */
import type { DatabaseSync } from "node:sqlite";
import {
  type EncodedMailboxName,
  encodedMailboxName,
  type MailboxId,
  type ModSeq,
  mailboxId,
  type Uid,
  uid,
  uidValidity,
} from "../mail/ids.ts";
import { expungeLogSchema } from "./expunge-log.ts";
import { modSeqOfHalves } from "./index-db.ts";
import { maildropPrintSchema, maildropSchema } from "./maildrop-table.ts";
import type { MailboxRecord } from "./store.ts";

export const sidecarVersion = 4;

/** Lists are JSON. Ids are never used again: they are part of file names. */
export const sidecarSchema = `
  CREATE TABLE side.mailboxes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    separator TEXT,
    prefix TEXT NOT NULL,
    directory TEXT NOT NULL UNIQUE,
    guid TEXT NOT NULL,
    attributes TEXT NOT NULL,
    subscribed INTEGER NOT NULL,
    uid_validity INTEGER,
    uid_next INTEGER NOT NULL DEFAULT 1,
    highest_modseq INTEGER NOT NULL DEFAULT 0,
    flags TEXT NOT NULL DEFAULT '[]',
    permanent_flags TEXT NOT NULL DEFAULT '[]'
  ) STRICT;
  CREATE TABLE side.messages (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    zone_minutes INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    extra_keywords TEXT,
    PRIMARY KEY (mailbox, uid)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE side.keywords (
    mailbox INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (mailbox, slot)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE side.settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
${expungeLogSchema}${maildropSchema}${maildropPrintSchema}`;

/** What turns the schema of each version into the next one's. */
export const sidecarUpgrades: Readonly<Record<number, string>> = {
  1: expungeLogSchema,
  2: maildropSchema,
  3: maildropPrintSchema,
};

/** What a file's name and mtime do not tell of its message. */
export interface MessageExtras {
  readonly uid: Uid;
  readonly zoneMinutes: number;
  readonly sizeBytes: number;
  readonly modSeq: ModSeq;
  /** Keyword slots from 26 on. */
  readonly extraSlots: readonly number[];
}

export interface KeptMailbox {
  readonly record: MailboxRecord;
  readonly guid: string;
  readonly prefix: string;
}

export interface SidecarDb {
  /** `highestModSeq` is what both databases agree on: after a power failure one may reach further. */
  mailboxes(): KeptMailbox[];
  addMailbox(kept: Omit<KeptMailbox, "record"> & { readonly record: Omit<MailboxRecord, "id"> }): MailboxId;
  /** With the id that it had. */
  restoreMailbox(kept: KeptMailbox): void;
  saveMailbox(record: MailboxRecord): void;
  setGuid(mailbox: MailboxId, guid: string): void;
  /** Gives it another name, and the folder that goes with it. */
  renameMailbox(mailbox: MailboxId, name: EncodedMailboxName, directory: string): void;
  /** The mailbox's messages too. */
  removeMailbox(mailbox: MailboxId): void;
  putExtras(mailbox: MailboxId, extras: MessageExtras): void;
  extrasOf(mailbox: MailboxId, uid: Uid): MessageExtras | undefined;
  removeExtras(mailbox: MailboxId, uid: Uid): void;
  removeAllExtras(mailbox: MailboxId): void;
  keywords(mailbox: MailboxId): string[];
  putKeyword(mailbox: MailboxId, slot: number, name: string): void;
  readSetting(key: string): string | undefined;
  writeSetting(key: string, value: string): void;
}

export function createSidecarDb(db: DatabaseSync): SidecarDb {
  return { ...mailboxTable(db), ...messageTable(db), ...keywordAndSettingTables(db) };
}

function mailboxTable(db: DatabaseSync) {
  const select = db.prepare(
    `SELECT kept.*, highest >> 32 AS modseq_high, highest & 4294967295 AS modseq_low FROM (
       SELECT m.*, CASE WHEN i.uid_validity IS m.uid_validity
         THEN min(m.highest_modseq, coalesce(i.highest_modseq, 0)) ELSE 0 END AS highest
       FROM side.mailboxes m LEFT JOIN main.mailboxes i ON i.id = m.id) kept ORDER BY id`,
  );
  // A 63-bit MODSEQ does not fit a JavaScript number: its column is read in halves only.
  select.setReadBigInts(true);
  const insert = db.prepare(
    `INSERT INTO side.mailboxes (name, separator, prefix, directory, guid, attributes, subscribed)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const update = db.prepare(
    `UPDATE side.mailboxes SET name = ?, separator = ?, attributes = ?, subscribed = ?, uid_validity = ?,
     uid_next = ?, highest_modseq = ?, flags = ?, permanent_flags = ? WHERE id = ?`,
  );
  const insertAs = db.prepare(
    `INSERT OR REPLACE INTO side.mailboxes (id, name, prefix, directory, guid, attributes, subscribed)
     VALUES (?, ?, ?, ?, ?, '[]', 0)`,
  );
  const rename = db.prepare("UPDATE side.mailboxes SET name = ?, directory = ? WHERE id = ?");
  const setGuid = db.prepare("UPDATE side.mailboxes SET guid = ? WHERE id = ?");
  const removals = ["mailboxes WHERE id", "messages WHERE mailbox", "keywords WHERE mailbox"].map((where) =>
    db.prepare(`DELETE FROM side.${where} = ?`),
  );
  const saveMailbox = (record: MailboxRecord): void => {
    const { id, name, separator, attributes, subscribed, flags, permanentFlags } = record;
    const { uidValidity: validity, uidNext, highestModSeq } = record;
    const lists = [JSON.stringify(flags), JSON.stringify(permanentFlags)] as const;
    const told = [JSON.stringify(attributes), Number(subscribed)] as const;
    update.run(name, separator, ...told, validity ?? null, uidNext, highestModSeq, ...lists, id);
  };
  return {
    mailboxes: (): KeptMailbox[] => select.all().map(toKeptMailbox),
    addMailbox({ record, prefix, guid }: Parameters<SidecarDb["addMailbox"]>[0]): MailboxId {
      const { name, separator, directory, attributes, subscribed } = record;
      const list = JSON.stringify(attributes);
      const added = insert.run(name, separator, prefix, directory, guid, list, Number(subscribed));
      return mailboxId(Number(added.lastInsertRowid));
    },
    saveMailbox,
    restoreMailbox({ record, prefix, guid }: KeptMailbox): void {
      insertAs.run(record.id, record.name, prefix, record.directory, guid);
      saveMailbox(record);
    },
    renameMailbox: (mailbox: MailboxId, name: EncodedMailboxName, directory: string): void =>
      void rename.run(name, directory, mailbox),
    setGuid: (mailbox: MailboxId, guid: string): void => void setGuid.run(guid, mailbox),
    removeMailbox(mailbox: MailboxId): void {
      for (const statement of removals) statement.run(mailbox);
    },
  };
}

function messageTable(db: DatabaseSync) {
  const put = db.prepare("INSERT OR REPLACE INTO side.messages VALUES (?, ?, ?, ?, ?, ?)");
  const select = db.prepare(
    `SELECT zone_minutes, size_bytes, modseq >> 32, modseq & 4294967295, extra_keywords
     FROM side.messages WHERE mailbox = ? AND uid = ?`,
  );
  select.setReturnArrays(true);
  const remove = db.prepare("DELETE FROM side.messages WHERE mailbox = ? AND uid = ?");
  const removeAll = db.prepare("DELETE FROM side.messages WHERE mailbox = ?");
  return {
    putExtras(
      mailbox: MailboxId,
      { uid: number, zoneMinutes, sizeBytes, modSeq, extraSlots }: MessageExtras,
    ): void {
      const slots = extraSlots.length === 0 ? null : JSON.stringify(extraSlots);
      put.run(mailbox, number, zoneMinutes, sizeBytes, modSeq, slots);
    },
    extrasOf(mailbox: MailboxId, number: Uid): MessageExtras | undefined {
      const row = select.get(mailbox, number) as unknown as ExtrasRow | undefined;
      if (!row) return undefined;
      const [zoneMinutes, sizeBytes, high, low, slots] = row;
      const extraSlots = slots === null ? [] : (JSON.parse(slots) as number[]);
      return { uid: number, zoneMinutes, sizeBytes, modSeq: modSeqOfHalves(high, low), extraSlots };
    },
    removeExtras: (mailbox: MailboxId, number: Uid): void => void remove.run(mailbox, number),
    removeAllExtras: (mailbox: MailboxId): void => void removeAll.run(mailbox),
  };
}

type ExtrasRow = readonly [number, number, number, number, string | null];

function keywordAndSettingTables(db: DatabaseSync) {
  const keywords = db.prepare("SELECT slot, name FROM side.keywords WHERE mailbox = ?");
  const putKeyword = db.prepare("INSERT OR REPLACE INTO side.keywords VALUES (?, ?, ?)");
  const readSetting = db.prepare("SELECT value FROM side.settings WHERE key = ?");
  const writeSetting = db.prepare("INSERT OR REPLACE INTO side.settings VALUES (?, ?)");
  return {
    keywords(mailbox: MailboxId): string[] {
      const names: string[] = [];
      for (const row of keywords.all(mailbox)) names[Number(row["slot"])] = String(row["name"]);
      return names;
    },
    putKeyword: (mailbox: MailboxId, slot: number, name: string): void =>
      void putKeyword.run(mailbox, slot, name),
    readSetting(key: string): string | undefined {
      const row = readSetting.get(key);
      return row && String(row["value"]);
    },
    writeSetting: (key: string, value: string): void => void writeSetting.run(key, value),
  };
}

function toKeptMailbox(row: Record<string, unknown>): KeptMailbox {
  const list = (value: unknown): readonly string[] => JSON.parse(String(value)) as string[];
  const validity = row["uid_validity"];
  const record: MailboxRecord = {
    id: mailboxId(Number(row["id"])),
    name: encodedMailboxName(String(row["name"])),
    separator: row["separator"] === null ? null : String(row["separator"]),
    attributes: list(row["attributes"]),
    subscribed: Number(row["subscribed"]) === 1,
    directory: String(row["directory"]),
    uidValidity: validity === null ? undefined : uidValidity(Number(validity)),
    uidNext: uid(Number(row["uid_next"])),
    highestModSeq: modSeqOfHalves(Number(row["modseq_high"]), Number(row["modseq_low"])),
    flags: list(row["flags"]),
    permanentFlags: list(row["permanent_flags"]),
  };
  return { record, guid: String(row["guid"]), prefix: String(row["prefix"]) };
}
