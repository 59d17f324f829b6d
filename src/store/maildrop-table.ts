/**
 * What POP3 clients know of an account's maildrop: each message's UIDL and place, as the legacy POP3 server
 * lists them, and which message here it is. Durable, in sidecar.db: a UIDL that was shown never changes.
 */
import type { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type MailboxId, mailboxId, type Uid, type Uidl, uid, uidl } from "../mail/ids.ts";
import type { AccountDatabase } from "./database.ts";

export const maildropSchema = `
  CREATE TABLE side.maildrop (
    position INTEGER PRIMARY KEY,
    uidl TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mailbox INTEGER,
    uid INTEGER,
    removed INTEGER NOT NULL DEFAULT 0,
    problem TEXT
  ) STRICT;
  CREATE INDEX side.maildrop_messages ON maildrop (mailbox, uid);
  CREATE TABLE side.maildrop_mailboxes (mailbox INTEGER PRIMARY KEY, uid_next INTEGER NOT NULL) STRICT;
`;

export const maildropPrintSchema = "ALTER TABLE side.maildrop ADD COLUMN print TEXT;";

export interface MaildropEntry {
  /** Dovecot's POP3 order: ascending, from 1, with gaps. */
  readonly position: number;
  readonly uidl: Uidl;
  /** As the legacy server's LIST tells it; may differ from the length of the message. */
  readonly sizeBytes: number;
  /** undefined where it is not known which one it is (yet). */
  readonly message: MaildropMessageId | undefined;
  /** A client has deleted it, and the legacy server does not know yet. */
  readonly isRemoved: boolean;
  /** Why no message can be named, for people. */
  readonly problem: string | undefined;
  /** Of its header (header-print.ts), where it was fetched by POP3: what tells it from others. */
  readonly print: string | undefined;
}

export interface MaildropMessageId {
  readonly mailbox: MailboxId;
  readonly uid: Uid;
}

/** Which row is meant: one that is in another place by now is not changed. */
export type EntryPlace = Pick<MaildropEntry, "position" | "uidl">;

export interface MaildropChange {
  readonly removed: readonly EntryPlace[];
  readonly put: readonly MaildropEntry[];
}

export interface MaildropTable {
  /** In order, as they are when it resolves; others get a turn in between. */
  entries(): Promise<MaildropEntry[]>;
  /** Those of which no message can be named, in order. */
  unmatched(): MaildropEntry[];
  /** How many there are, and of how many the message is known; without those that are removed. */
  counts(): { readonly messages: number; readonly matched: number };
  /** All of it or nothing: first what is removed, then what is put in its place. */
  change(change: MaildropChange): void;
  /** By UID, of one mailbox. */
  ofMailbox(mailbox: MailboxId): ReadonlyMap<Uid, MaildropEntry>;
  entryOf(mailbox: MailboxId, uid: Uid): MaildropEntry | undefined;
  /** Marks those that are in the maildrop: they are to be deleted on the legacy server, too. */
  markRemoved(mailbox: MailboxId, uids: readonly Uid[]): void;
  /** The legacy server's maildrop has nothing to do with these any more. */
  forgetMessages(mailbox: MailboxId, uids: readonly Uid[]): void;
  /** Marks one by its place and UIDL; false where it is in that place no more. */
  markEntryRemoved(entry: EntryPlace): boolean;
  /** Which message it is; the rest of it stays, but its problem. */
  noteMessage(entry: EntryPlace, message: MaildropMessageId, print: string): void;
  /** For people; the rest of it stays. */
  noteProblem(entry: EntryPlace, problem: string): void;
  /** Its messages are no more, or have other UIDs. */
  forgetMailbox(mailbox: MailboxId): void;
  /**
   * Up to which UIDNEXT the legacy server was asked: a message below it that is not in the maildrop is not shown
   * there. undefined where it was never asked about the mailbox.
   */
  listedUpTo(mailbox: MailboxId): Uid | undefined;
  noteListedUpTo(mailbox: MailboxId, uidNext: Uid): void;
}

export interface RevisedMaildrop extends MaildropTable {
  /** Goes up with each change, but of what was listed. */
  readonly revision: number;
}

/** Read before others get a turn. */
const rowsPerTurn = 5_000;

export function createMaildropTable(
  db: DatabaseSync,
  transaction: AccountDatabase["transaction"],
): RevisedMaildrop {
  const columns = "position, uidl, size_bytes, mailbox, uid, removed, problem, print";
  const page = db.prepare(
    `SELECT ${columns} FROM side.maildrop WHERE position > ? ORDER BY position LIMIT ${rowsPerTurn}`,
  );
  const unmatched = db.prepare(
    `SELECT ${columns} FROM side.maildrop WHERE problem IS NOT NULL ORDER BY position`,
  );
  const counts = db.prepare(
    "SELECT count(*) AS messages, count(uid) AS matched FROM side.maildrop WHERE removed = 0",
  );
  const ofMailbox = db.prepare(`SELECT ${columns} FROM side.maildrop WHERE mailbox = ?`);
  const one = db.prepare(`SELECT ${columns} FROM side.maildrop WHERE mailbox = ? AND uid = ?`);
  for (const statement of [page, unmatched, ofMailbox, one]) statement.setReturnArrays(true);
  const put = db.prepare(`INSERT OR REPLACE INTO side.maildrop (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  const remove = db.prepare("DELETE FROM side.maildrop WHERE position = ? AND uidl = ?");
  const mark = db.prepare("UPDATE side.maildrop SET removed = 1 WHERE mailbox = ? AND uid = ?");
  const forgetOne = db.prepare("DELETE FROM side.maildrop WHERE mailbox = ? AND uid = ?");
  const markEntry = db.prepare("UPDATE side.maildrop SET removed = 1 WHERE position = ? AND uidl = ?");
  const messageOf = db.prepare(
    "UPDATE side.maildrop SET mailbox = ?, uid = ?, print = ?, problem = NULL WHERE position = ? AND uidl = ?",
  );
  const problemOf = db.prepare("UPDATE side.maildrop SET problem = ? WHERE position = ? AND uidl = ?");
  const forget = db.prepare("UPDATE side.maildrop SET mailbox = NULL, uid = NULL WHERE mailbox = ?");
  const listed = db.prepare("SELECT uid_next FROM side.maildrop_mailboxes WHERE mailbox = ?");
  // Noted at each look, and mostly the same as before.
  const noteListed = db.prepare(
    `INSERT INTO side.maildrop_mailboxes VALUES (?, ?)
     ON CONFLICT (mailbox) DO UPDATE SET uid_next = excluded.uid_next WHERE uid_next <> excluded.uid_next`,
  );
  const forgetListed = db.prepare("DELETE FROM side.maildrop_mailboxes WHERE mailbox = ?");
  /** Counts the changes: what was read before one is read again. */
  let written = 0;
  return {
    get revision() {
      return written;
    },
    async entries() {
      let entries: MaildropEntry[] = [];
      for (let before = written; ; ) {
        if (before !== written) [entries, before] = [[], written];
        const rows = page.all(entries.at(-1)?.position ?? 0);
        entries.push(...rows.map(toEntry));
        if (rows.length < rowsPerTurn) return entries;
        await nextTurn();
      }
    },
    unmatched: () => unmatched.all().map(toEntry),
    counts() {
      const row = counts.get();
      return { messages: Number(row?.["messages"]), matched: Number(row?.["matched"]) };
    },
    change: ({ removed, put: added }) =>
      transaction(() => {
        written++;
        for (const { position, uidl: text } of removed) remove.run(position, text);
        for (const entry of added) {
          const { mailbox = null, uid: number = null } = entry.message ?? {};
          const state = [Number(entry.isRemoved), entry.problem ?? null, entry.print ?? null] as const;
          put.run(entry.position, entry.uidl, entry.sizeBytes, mailbox, number, ...state);
        }
      }),
    ofMailbox: (mailbox) =>
      new Map(
        ofMailbox
          .all(mailbox)
          .map(toEntry)
          .flatMap((entry) => (entry.message ? [[entry.message.uid, entry] as const] : [])),
      ),
    entryOf(mailbox, number) {
      const row = one.get(mailbox, number);
      return row && toEntry(row);
    },
    markRemoved: (mailbox, uids) =>
      transaction(() => {
        written++;
        for (const one of uids) mark.run(mailbox, one);
      }),
    forgetMessages: (mailbox, uids) =>
      transaction(() => {
        written++;
        for (const one of uids) forgetOne.run(mailbox, one);
      }),
    markEntryRemoved: ({ position, uidl: text }) => {
      written++;
      return Number(markEntry.run(position, text).changes) > 0;
    },
    noteMessage: ({ position, uidl: text }, message, print) => {
      written++;
      messageOf.run(message.mailbox, message.uid, print, position, text);
    },
    noteProblem: ({ position, uidl: text }, problem) => {
      written++;
      problemOf.run(problem, position, text);
    },
    forgetMailbox(mailbox) {
      written++;
      forget.run(mailbox);
      forgetListed.run(mailbox);
    },
    listedUpTo(mailbox) {
      const row = listed.get(mailbox);
      return row && uid(Number(row["uid_next"]));
    },
    noteListedUpTo: (mailbox, uidNext) => void noteListed.run(mailbox, uidNext),
  };
}

type Row = readonly [
  number,
  string,
  number,
  number | null,
  number | null,
  number,
  string | null,
  string | null,
];

function toEntry(row: unknown): MaildropEntry {
  const [position, text, sizeBytes, mailbox, number, removed, problem, print] = row as Row;
  return {
    position,
    uidl: uidl(text),
    sizeBytes,
    message:
      mailbox === null || number === null ? undefined : { mailbox: mailboxId(mailbox), uid: uid(number) },
    isRemoved: removed === 1,
    problem: problem ?? undefined,
    print: print ?? undefined,
  };
}
