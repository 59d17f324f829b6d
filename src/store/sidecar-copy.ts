/**
 * index.db's copy of sidecar.db, kept in step by triggers within the same transactions: all but the rows of
 * messages, which the index has in its own form. From it a sidecar that is missing, damaged or from a backup is made
 * again, just as it was. Which of the two files is the newer one tells a stamp that goes up with each opening that
 * writes, and within one opening UIDNEXT and HIGHESTMODSEQ; it tells, too, whether they belong together.
 */
import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { sidecarSchema } from "./sidecar-db.ts";

interface CopiedTable {
  readonly key: readonly string[];
  readonly others: readonly string[];
}

const copiedTables: Readonly<Record<string, CopiedTable>> = {
  mailboxes: {
    key: ["id"],
    others: [
      ...["name", "separator", "prefix", "directory", "guid", "attributes", "subscribed"],
      ...["uid_validity", "uid_next", "highest_modseq", "flags", "permanent_flags"],
    ],
  },
  keywords: { key: ["mailbox", "slot"], others: ["name"] },
  settings: { key: ["key"], others: ["value"] },
  expunged: { key: ["mailbox", "modseq", "uid"], others: [] },
  expunged_from: { key: ["mailbox"], others: ["modseq"] },
  maildrop: {
    key: ["position"],
    others: ["uidl", "size_bytes", "mailbox", "uid", "removed", "problem", "print"],
  },
  maildrop_mailboxes: { key: ["mailbox"], others: ["uid_next"] },
};

/** Of the sidecar's own tables: another version of those is another version of the index. */
export const copySchema = sidecarSchema
  .split(";")
  .filter((statement) => !/CREATE INDEX|side\.messages/.test(statement))
  .map((statement) => statement.replace(/\bside\./, "main.kept_").replaceAll(" UNIQUE", ""))
  .join(";");

/** From now on each change of the sidecar is one of the copy. */
export function keepCopy(db: DatabaseSync): void {
  const triggers = Object.entries(copiedTables).map(([table, { key, others }]) => {
    const columns = [...key, ...others];
    const values = columns.map((column) => `NEW.${column}`).join(", ");
    const remove = (row: "OLD" | "NEW"): string =>
      `DELETE FROM kept_${table} WHERE ${key.map((column) => `${column} = ${row}.${column}`).join(" AND ")};`;
    // Not OR REPLACE: a trigger has the conflict clause of the statement that fires it.
    const put = `${remove("NEW")} INSERT INTO kept_${table} (${columns.join(", ")}) VALUES (${values});`;
    return `
      CREATE TEMP TRIGGER copy_new_${table} AFTER INSERT ON side.${table} BEGIN ${put} END;
      CREATE TEMP TRIGGER copy_other_${table} AFTER UPDATE ON side.${table} BEGIN ${put} END;
      CREATE TEMP TRIGGER copy_none_${table} AFTER DELETE ON side.${table} BEGIN ${remove("OLD")} END;`;
  });
  // A temporary folder that cannot be used refuses nobody.
  db.exec(`PRAGMA temp_store = MEMORY; ${triggers.join("")}`);
}

/** Of an index that was made just now. */
export function copyToIndex(db: DatabaseSync): void {
  db.exec(copyAll("side.", "main.kept_"));
}

/** The caller has a transaction. */
export function restoreSidecar(db: DatabaseSync): void {
  db.exec(copyAll("main.kept_", "side."));
  db.exec(`
    DELETE FROM side.sqlite_sequence WHERE name = 'mailboxes';
    INSERT INTO side.sqlite_sequence
      SELECT 'mailboxes', seq FROM main.sqlite_sequence WHERE name = 'kept_mailboxes';
    DELETE FROM side.messages;
    INSERT INTO side.messages
      SELECT mailbox, uid, zone_minutes, size_bytes, modseq, nullif((
        SELECT json_group_array(slot) FROM (
          SELECT slot FROM side.keywords k WHERE k.mailbox = m.mailbox AND slot >= 26
            AND instr(' ' || lower(m.flags) || ' ', ' ' || lower(k.name) || ' ') > 0 ORDER BY slot)), '[]')
      FROM main.messages m WHERE flags IS NOT NULL;`);
}

/** Which of the two has what the other does not have (yet); `strangers`: they were never together. */
export function newerOf(db: DatabaseSync): "sidecar" | "index" | "neither" | "strangers" {
  const [sidecar, index] = [readStamp(db, "side.settings"), readStamp(db, "main.kept_settings")];
  if (sidecar.openings > 0 && index.openings > 0 && sidecar.origin !== index.origin) return "strangers";
  if (sidecar.openings !== index.openings) return sidecar.openings > index.openings ? "sidecar" : "index";
  return isAhead(db, "main.kept_mailboxes", "side.mailboxes") ? "index" : "neither";
}

function isAhead(db: DatabaseSync, one: string, other: string): boolean {
  const row = db
    .prepare(
      `SELECT 1 FROM ${one} a LEFT JOIN ${other} b ON a.id = b.id
       WHERE (b.id IS NULL AND a.id > (SELECT coalesce(max(id), 0) FROM ${other}))
       OR (a.uid_validity IS b.uid_validity
         AND (a.uid_next > b.uid_next OR a.highest_modseq > b.highest_modseq)) LIMIT 1`,
    )
    .get();
  return row !== undefined;
}

const stampKey = "stamp";

/** Within the first transaction of an opening. */
export function writeStamp(db: DatabaseSync): void {
  const { origin, openings } = readStamp(db, "side.settings");
  db.prepare("INSERT OR REPLACE INTO side.settings VALUES (?, ?)").run(stampKey, `${origin} ${openings + 1}`);
}

interface Stamp {
  /** The same for all that a sidecar is made of, or made from. */
  readonly origin: string;
  /** In which something was written. */
  readonly openings: number;
}

function readStamp(db: DatabaseSync, table: string): Stamp {
  const row = db.prepare(`SELECT value FROM ${table} WHERE key = ?`).get(stampKey);
  const [origin, openings] = String(row?.["value"] ?? "").split(" ");
  return { origin: origin || randomBytes(8).toString("hex"), openings: Number(openings) || 0 };
}

function copyAll(from: string, to: string): string {
  return Object.entries(copiedTables)
    .map(([table, { key, others }]) => {
      const columns = [...key, ...others].join(", ");
      return `DELETE FROM ${to}${table}; INSERT INTO ${to}${table} (${columns}) SELECT ${columns} FROM ${from}${table};`;
    })
    .join("\n");
}
