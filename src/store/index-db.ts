/**
 * index.db: what is known of each message without opening its file, and what was computed or fetched
 * of it. A cache: the store makes it anew from the Maildir and the sidecar. Whether a message's bytes
 * are here is not in it: the folder says that.
 */
import type { DatabaseSync } from "node:sqlite";
import { type Flags, flagsOf } from "../mail/flags.ts";
import {
  type MailboxId,
  type ModSeq,
  mailboxId,
  modSeq,
  type Uid,
  type UidValidity,
  uid,
} from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { DamagedDatabase } from "./store-errors.ts";

/** Another one, too, where the sidecar's is: the index has a copy of its tables (sidecar-copy.ts). */
export const indexVersion = 3;

/** `messages.flags` is NULL while only the UID is known; otherwise names with a space between. */
export const indexSchema = `
  CREATE TABLE main.mailboxes (
    id INTEGER PRIMARY KEY,
    uid_validity INTEGER,
    highest_modseq INTEGER NOT NULL,
    verified_boot TEXT
  ) STRICT;
  CREATE TABLE main.messages (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    flags TEXT,
    epoch_seconds INTEGER,
    zone_minutes INTEGER,
    size_bytes INTEGER,
    modseq INTEGER,
    email_id TEXT,
    PRIMARY KEY (mailbox, uid)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX main.messages_by_email_id ON messages (email_id, uid) WHERE email_id IS NOT NULL;
  CREATE TABLE main.headers (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    header BLOB NOT NULL,
    PRIMARY KEY (mailbox, uid)
  ) STRICT;
  CREATE TABLE main.structures (
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    body BLOB NOT NULL,
    body_structure BLOB NOT NULL,
    PRIMARY KEY (mailbox, uid)
  ) STRICT;
  CREATE TABLE main.marks (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Of thousands of equal messages, one that is here is likely among these. */
const maxSameContent = 16;

/** A message as the index knows it: with its metadata or only listed. */
export type IndexedMessage =
  | { readonly known: false; readonly uid: Uid }
  | ({ readonly known: true } & MessageMeta);

export interface IndexDb {
  /** Up to `limit` messages above `after`, ascending. */
  messagesAfter(mailbox: MailboxId, after: number, limit: number): IndexedMessage[];
  putRemote(mailbox: MailboxId, uid: Uid): void;
  putMeta(mailbox: MailboxId, meta: MessageMeta): void;
  /** Some of the messages with this EMAILID and size, the highest UIDs first: those are pulled first. */
  sameContent(emailId: string, sizeBytes: number): { readonly mailbox: MailboxId; readonly uid: Uid }[];
  removeMessage(mailbox: MailboxId, uid: Uid): void;
  /** Messages, headers, structures and the mailbox's own row. */
  removeMailbox(mailbox: MailboxId): void;
  countMessages(mailbox: MailboxId): number;
  putMailbox(mailbox: MailboxId, validity: UidValidity | undefined, highest: ModSeq): void;
  /** The kernel's boot id under which all files of the mailbox were last found whole. */
  verifiedBoot(mailbox: MailboxId): string | undefined;
  setVerifiedBoot(mailbox: MailboxId, boot: string | undefined): void;
  readMark(key: string): string | undefined;
  writeMark(key: string, value: string): void;
}

export function createIndexDb(db: DatabaseSync): IndexDb {
  const after = db.prepare(
    `SELECT uid, flags, epoch_seconds, zone_minutes, size_bytes, modseq >> 32, modseq & 4294967295, email_id
     FROM main.messages WHERE mailbox = ? AND uid > ? ORDER BY uid LIMIT ?`,
  );
  after.setReturnArrays(true);
  const putRemote = db.prepare(
    "INSERT INTO main.messages (mailbox, uid) VALUES (?, ?) ON CONFLICT DO NOTHING",
  );
  const putMeta = db.prepare("INSERT OR REPLACE INTO main.messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  const sameContent = db.prepare(
    `SELECT mailbox, uid FROM main.messages WHERE email_id = ? AND size_bytes = ?
     ORDER BY uid DESC LIMIT ${maxSameContent}`,
  );
  const tables = ["messages", "headers", "structures"] as const;
  const removeOne = tables.map((table) =>
    db.prepare(`DELETE FROM main.${table} WHERE mailbox = ? AND uid = ?`),
  );
  const removeAll = tables.map((table) => db.prepare(`DELETE FROM main.${table} WHERE mailbox = ?`));
  const removeMailbox = db.prepare("DELETE FROM main.mailboxes WHERE id = ?");
  const count = db.prepare("SELECT count(*) AS messages FROM main.messages WHERE mailbox = ?");
  const putMailbox = db.prepare(
    `INSERT INTO main.mailboxes (id, uid_validity, highest_modseq) VALUES (?1, ?2, ?3)
     ON CONFLICT DO UPDATE SET uid_validity = ?2, highest_modseq = ?3`,
  );
  const verified = db.prepare("SELECT verified_boot FROM main.mailboxes WHERE id = ?");
  const setVerified = db.prepare("UPDATE main.mailboxes SET verified_boot = ? WHERE id = ?");
  const readMark = db.prepare("SELECT value FROM main.marks WHERE key = ?");
  const writeMark = db.prepare("INSERT OR REPLACE INTO main.marks VALUES (?, ?)");
  const text = createFlagsText();
  return {
    messagesAfter(mailbox, above, limit) {
      return (after.all(mailbox, above, limit) as unknown as MessageRow[]).map((row) =>
        toMessage(row, text.parse),
      );
    },
    putRemote: (mailbox, number) => void putRemote.run(mailbox, number),
    putMeta(mailbox, { uid: number, flags, internalDate, sizeBytes, modSeq: modseq, emailId }) {
      const { epochSeconds, zoneMinutes } = internalDate;
      const date = [epochSeconds, zoneMinutes] as const;
      putMeta.run(mailbox, number, text.format(flags), ...date, sizeBytes, modseq, emailId ?? null);
    },
    sameContent: (emailId, sizeBytes) =>
      sameContent.all(emailId, sizeBytes).map((row) => ({
        mailbox: mailboxId(Number(row["mailbox"])),
        uid: uid(Number(row["uid"])),
      })),
    removeMessage(mailbox, number) {
      for (const statement of removeOne) statement.run(mailbox, number);
    },
    countMessages: (mailbox) => Number(count.get(mailbox)?.["messages"] ?? 0),
    removeMailbox(mailbox) {
      for (const statement of removeAll) statement.run(mailbox);
      removeMailbox.run(mailbox);
    },
    putMailbox: (mailbox, validity, highest) => void putMailbox.run(mailbox, validity ?? null, highest),
    verifiedBoot: (mailbox) => toText(verified.get(mailbox)?.["verified_boot"]),
    setVerifiedBoot: (mailbox, boot) => void setVerified.run(boot ?? null, mailbox),
    readMark: (key) => toText(readMark.get(key)?.["value"]),
    writeMark: (key, value) => void writeMark.run(key, value),
  };
}

/** MODSEQ in two halves: node:sqlite gives a 63-bit number only as a bigint, and then all columns so. */
type MessageRow = readonly [number, string | null, number, number, number, number, number, string | null];

function toMessage(row: MessageRow, parseFlags: (text: string) => Flags): IndexedMessage {
  const [number, flags, epochSeconds, zoneMinutes, sizeBytes, high, low, emailId] = row;
  if (flags === null) return { known: false, uid: uid(number) };
  // SQLite notices garbage only where it is in its own structures.
  const numbers = [number, epochSeconds, zoneMinutes, sizeBytes, high, low];
  if (typeof flags !== "string" || !numbers.every((value) => typeof value === "number"))
    throw new DamagedDatabase(`index.db has garbage for UID ${number}`);
  const message = {
    known: true,
    uid: uid(number),
    flags: parseFlags(flags),
    internalDate: { epochSeconds, zoneMinutes },
    sizeBytes,
    modSeq: modSeqOfHalves(high, low),
  } as const;
  return emailId === null ? message : { ...message, emailId };
}

export function modSeqOfHalves(high: number, low: number): ModSeq {
  return modSeq(high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low));
}

interface FlagsText {
  format(flags: Flags): string;
  parse(text: string): Flags;
}

/** Bound on each direction's table. */
const maxRemembered = 10_000;

/** Few combinations of flags are in use: each is joined and parsed once. */
function createFlagsText(): FlagsText {
  const texts = new Map<Flags, string>();
  const lists = new Map<string, Flags>();
  return {
    format(flags) {
      const known = texts.get(flags);
      if (known !== undefined) return known;
      const text = flags.join(" ");
      if (texts.size < maxRemembered) texts.set(flags, text);
      return text;
    },
    parse(text) {
      const known = lists.get(text);
      if (known) return known;
      const flags = flagsOf(text === "" ? [] : text.split(" "));
      if (lists.size < maxRemembered) lists.set(text, flags);
      return flags;
    },
  };
}

function toText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
