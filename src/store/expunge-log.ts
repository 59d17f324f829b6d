/**
 * Which UIDs were expunged at which MODSEQ, for clients that come back and ask what has left (RFC 7162
 * 3.2.7, VANISHED (EARLIER)). Durable, in sidecar.db: what was told once is not told otherwise later. It
 * reaches back to a MODSEQ of its own; for clients that were away longer nothing is known.
 */
import type { DatabaseSync } from "node:sqlite";
import { type MailboxId, type ModSeq, type Uid, uid } from "../mail/ids.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import { modSeqOfHalves } from "./index-db.ts";

/** Of one mailbox; the older half goes when there are more. */
const maxEntries = 50_000;

export const expungeLogSchema = `
  CREATE TABLE side.expunged (
    mailbox INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (mailbox, modseq, uid)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE side.expunged_from (mailbox INTEGER PRIMARY KEY, modseq INTEGER NOT NULL) STRICT;
`;

export interface ExpungeLog {
  /** Where the log of the mailbox begins; undefined where there is none. */
  begin(mailbox: MailboxId): ModSeq | undefined;
  /** From `since` on all that is expunged will be added; what is there is forgotten. */
  start(mailbox: MailboxId, since: ModSeq): void;
  add(mailbox: MailboxId, uids: readonly Uid[], at: ModSeq): void;
  /** Expunged above `since`, ascending; undefined where the log does not reach back so far. */
  since(mailbox: MailboxId, since: ModSeq): Uid[] | undefined;
  /** The MODSEQ of the last one, or where the log begins; 0 when there is none. */
  highest(mailbox: MailboxId): ModSeq;
  remove(mailbox: MailboxId): void;
}

export function createExpungeLog(db: DatabaseSync): ExpungeLog {
  const halves = (column: string): string => `${column} >> 32, ${column} & 4294967295`;
  const begin = db.prepare(`SELECT ${halves("modseq")} FROM side.expunged_from WHERE mailbox = ?`);
  const last = db.prepare(
    `SELECT ${halves("modseq")} FROM side.expunged WHERE mailbox = ? ORDER BY modseq DESC LIMIT 1`,
  );
  const nth = db.prepare(
    `SELECT ${halves("modseq")} FROM side.expunged WHERE mailbox = ? ORDER BY modseq LIMIT 1 OFFSET ?`,
  );
  for (const statement of [begin, last, nth]) statement.setReturnArrays(true);
  const start = db.prepare("INSERT OR REPLACE INTO side.expunged_from VALUES (?, ?)");
  const insert = db.prepare("INSERT OR IGNORE INTO side.expunged VALUES (?, ?, ?)");
  const count = db.prepare("SELECT count(*) AS entries FROM side.expunged WHERE mailbox = ?");
  const above = db.prepare(
    "SELECT DISTINCT uid FROM side.expunged WHERE mailbox = ? AND modseq > ? ORDER BY uid",
  );
  const trim = db.prepare("DELETE FROM side.expunged WHERE mailbox = ? AND modseq <= ?");
  const removals = ["expunged", "expunged_from"].map((table) =>
    db.prepare(`DELETE FROM side.${table} WHERE mailbox = ?`),
  );
  const remove = (mailbox: MailboxId): void => {
    for (const statement of removals) statement.run(mailbox);
  };
  const log: ExpungeLog = {
    begin: (mailbox) => toModSeq(begin.get(mailbox)),
    start(mailbox, since) {
      remove(mailbox);
      start.run(mailbox, since);
    },
    add(mailbox, uids, at) {
      for (const one of uids) insert.run(mailbox, at, one);
      if (Number(count.get(mailbox)?.["entries"]) <= maxEntries) return;
      const middle = toModSeq(nth.get(mailbox, maxEntries / 2));
      if (middle === undefined) return;
      trim.run(mailbox, middle);
      start.run(mailbox, middle);
    },
    since(mailbox, since) {
      const from = log.begin(mailbox);
      if (from === undefined || since < from) return undefined;
      return above.all(mailbox, since).map((row) => uid(Number(row["uid"])));
    },
    highest: (mailbox) => toModSeq(last.get(mailbox)) ?? log.begin(mailbox) ?? noModSeq,
    remove,
  };
  return log;
}

function toModSeq(row: unknown): ModSeq | undefined {
  if (!Array.isArray(row)) return undefined;
  return modSeqOfHalves(Number(row[0]), Number(row[1]));
}
