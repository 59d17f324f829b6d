/** Cached header blocks and structures of messages, in index.db. Each has a check sum behind it: SQLite has none. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { MailboxId, Uid } from "../mail/ids.ts";
import type { StoredStructure } from "./store.ts";
import { DamagedDatabase } from "./store-errors.ts";

export interface MessageCache {
  putHeader(mailbox: MailboxId, uid: Uid, header: Buffer): void;
  header(mailbox: MailboxId, uid: Uid): Buffer | undefined;
  missingHeaders(mailbox: MailboxId, uids: readonly Uid[]): Uid[];
  putStructure(mailbox: MailboxId, uid: Uid, structure: StoredStructure): void;
  structure(mailbox: MailboxId, uid: Uid): StoredStructure | undefined;
  missingStructures(mailbox: MailboxId, uids: readonly Uid[]): Uid[];
  /** The message's text is another one. */
  forget(mailbox: MailboxId, uid: Uid): void;
}

/** From this many UIDs on, one walk over the range is cheaper than asking for each. */
const rangeFrom = 200;

export function createMessageCache(db: DatabaseSync): MessageCache {
  const putHeader = db.prepare("INSERT OR REPLACE INTO main.headers VALUES (?, ?, ?)");
  const header = db.prepare("SELECT header FROM main.headers WHERE mailbox = ? AND uid = ?");
  const putStructure = db.prepare("INSERT OR REPLACE INTO main.structures VALUES (?, ?, ?, ?)");
  const structure = db.prepare(
    "SELECT body, body_structure FROM main.structures WHERE mailbox = ? AND uid = ?",
  );
  const removals = ["headers", "structures"].map((table) =>
    db.prepare(`DELETE FROM main.${table} WHERE mailbox = ? AND uid = ?`),
  );
  return {
    putHeader: (mailbox, uid, bytes) => void putHeader.run(mailbox, uid, withSum(bytes)),
    header(mailbox, uid) {
      const row = header.get(mailbox, uid);
      return row && withoutSum(row["header"]);
    },
    missingHeaders: finder(db, "headers"),
    putStructure: (mailbox, uid, { body, bodyStructure }) =>
      void putStructure.run(mailbox, uid, withSum(body), withSum(bodyStructure)),
    structure(mailbox, uid) {
      const row = structure.get(mailbox, uid);
      return row && { body: withoutSum(row["body"]), bodyStructure: withoutSum(row["body_structure"]) };
    },
    missingStructures: finder(db, "structures"),
    forget(mailbox, uid) {
      for (const removal of removals) removal.run(mailbox, uid);
    },
  };
}

function finder(db: DatabaseSync, table: "headers" | "structures") {
  const one = db.prepare(`SELECT 1 FROM main.${table} WHERE mailbox = ? AND uid = ?`);
  const range = db.prepare(`SELECT uid FROM main.${table} WHERE mailbox = ? AND uid BETWEEN ? AND ?`);
  range.setReturnArrays(true);
  return (mailbox: MailboxId, uids: readonly Uid[]): Uid[] => {
    if (uids.length < rangeFrom) return uids.filter((uid) => one.get(mailbox, uid) === undefined);
    const present = uidsWithin(range, mailbox, uids);
    return uids.filter((uid) => !present.has(uid));
  };
}

function uidsWithin(range: StatementSync, mailbox: MailboxId, uids: readonly Uid[]): Set<number> {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = 0;
  for (const uid of uids) {
    if (uid < lowest) lowest = uid;
    if (uid > highest) highest = uid;
  }
  const rows = range.all(mailbox, lowest, highest) as unknown as readonly (readonly [number])[];
  return new Set(rows.map(([uid]) => uid));
}

const sumBytes = 4;

function withSum(bytes: Buffer): Buffer {
  const sum = Buffer.allocUnsafe(sumBytes);
  sum.writeUInt32LE(crc32(bytes));
  return Buffer.concat([bytes, sum]);
}

/** Throws DamagedDatabase where it is not what was written. */
function withoutSum(value: unknown): Buffer {
  if (!(value instanceof Uint8Array) || value.length < sumBytes) throw new DamagedDatabase("not a BLOB");
  const all = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const bytes = all.subarray(0, -sumBytes);
  if (crc32(bytes) !== all.readUInt32LE(bytes.length)) throw new DamagedDatabase("a BLOB with garbage in it");
  return bytes;
}
