/**
 * directory.db: one row per account, kept for as long as the data folder lives. It holds the stage,
 * the captured password hashes and what `status` tells while an account is closed. Hashes only: a
 * password never reaches the disk. A power failure may take back the last writes about accounts whose
 * legacy server still has everything; that an account is local is on stable storage when it is said.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type CutoverNotes, openCutoverNotes } from "./cutover-notes.ts";

/** The life of an account; who may go where is in migration/stage.ts. */
export type Stage = "new" | "mirroring" | "complete" | "local";

export interface AccountRow {
  readonly user: string;
  readonly stage: Stage;
  /** Which legacy server, for people: `imap://host:port`. */
  readonly legacy: string;
  readonly createdAt: string;
  readonly lastLoginAt: string | undefined;
  readonly lastError: string | undefined;
  readonly counters: AccountCounters;
}

/** How far the account had come when it was last looked at. */
export interface AccountCounters {
  readonly mailboxes: number;
  readonly messages: number;
  /** Of `messages`, those whose bytes are in the Maildir. */
  readonly messagesHere: number;
  /** RFC822.SIZE summed over messages whose metadata are known. */
  readonly bytes: number;
  readonly bytesHere: number;
}

export interface Directory {
  accounts(): readonly AccountRow[];
  account(user: string): AccountRow | undefined;
  /** Makes the row in stage `new` if there is none. */
  ensureAccount(user: string, legacy: string): AccountRow;
  /** Only migration/stage.ts calls this. */
  writeStage(user: string, stage: Stage): void;
  noteLogin(user: string, at: Date): void;
  noteError(user: string, error: string | undefined): void;
  noteCounters(user: string, counters: AccountCounters): void;
  /** Captured hashes in PHC form, the one that was right last first. */
  passwordHashes(user: string): readonly string[];
  savePasswordHash(user: string, hash: string, at: Date): void;
  touchPasswordHash(user: string, hash: string, at: Date): void;
  dropPasswordHash(user: string, hash: string): void;
  /** `writeStage` notes there when an account became local. */
  readonly cutoverNotes: CutoverNotes;
  close(): void;
}

const schema = `
  CREATE TABLE IF NOT EXISTS accounts (
    user TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    legacy TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_login_at TEXT,
    last_error TEXT,
    mailboxes INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0,
    messages_here INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    bytes_here INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS password_hashes (
    user TEXT NOT NULL,
    hash TEXT NOT NULL,
    last_success_at TEXT NOT NULL,
    PRIMARY KEY (user, hash)
  ) STRICT, WITHOUT ROWID;
`;

export function openDirectory(dataDir: string): Directory {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const db = new DatabaseSync(join(dataDir, "directory.db"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;");
  db.exec(schema);
  const cutoverNotes = openCutoverNotes(db);
  const selectAll = db.prepare("SELECT * FROM accounts ORDER BY user");
  const selectOne = db.prepare("SELECT * FROM accounts WHERE user = ?");
  const insert = db.prepare(
    "INSERT INTO accounts (user, stage, legacy, created_at) VALUES (?, 'new', ?, ?) ON CONFLICT DO NOTHING",
  );
  const updateStage = db.prepare("UPDATE accounts SET stage = ? WHERE user = ?");
  const updateLogin = db.prepare("UPDATE accounts SET last_login_at = ? WHERE user = ?");
  const updateError = db.prepare("UPDATE accounts SET last_error = ? WHERE user = ?");
  const updateCounters = db.prepare(
    "UPDATE accounts SET mailboxes = ?, messages = ?, messages_here = ?, bytes = ?, bytes_here = ? WHERE user = ?",
  );
  const selectHashes = db.prepare(
    "SELECT hash FROM password_hashes WHERE user = ? ORDER BY last_success_at DESC",
  );
  const upsertHash = db.prepare(
    "INSERT INTO password_hashes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last_success_at = excluded.last_success_at",
  );
  const deleteHash = db.prepare("DELETE FROM password_hashes WHERE user = ? AND hash = ?");
  const account = (user: string): AccountRow | undefined => {
    const row = selectOne.get(user);
    return row && rowToAccount(row);
  };
  return {
    accounts: () => selectAll.all().map(rowToAccount),
    account,
    ensureAccount(user, legacy) {
      insert.run(user, legacy, new Date().toISOString());
      const row = account(user);
      if (!row) throw new Error(`directory.db lost the account ${user}`);
      return row;
    },
    writeStage(user, stage) {
      if (stage !== "local") return void updateStage.run(stage, user);
      db.exec("PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
      try {
        updateStage.run(stage, user);
        cutoverNotes.write(user, { cutOverAt: new Date(), equalSince: undefined, problem: undefined });
        db.exec("COMMIT");
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      } finally {
        db.exec("PRAGMA synchronous = NORMAL");
      }
    },
    noteLogin: (user, at) => void updateLogin.run(at.toISOString(), user),
    noteError: (user, error) => void updateError.run(error ?? null, user),
    noteCounters: (user, { mailboxes, messages, messagesHere, bytes, bytesHere }) =>
      void updateCounters.run(mailboxes, messages, messagesHere, bytes, bytesHere, user),
    passwordHashes: (user) => selectHashes.all(user).map((row) => String(row["hash"])),
    savePasswordHash: (user, hash, at) => void upsertHash.run(user, hash, at.toISOString()),
    touchPasswordHash: (user, hash, at) => void upsertHash.run(user, hash, at.toISOString()),
    dropPasswordHash: (user, hash) => void deleteHash.run(user, hash),
    cutoverNotes,
    close: () => db.close(),
  };
}

function rowToAccount(row: Record<string, unknown>): AccountRow {
  const optional = (value: unknown): string | undefined => (value === null ? undefined : String(value));
  return {
    user: String(row["user"]),
    stage: String(row["stage"]) as Stage,
    legacy: String(row["legacy"]),
    createdAt: String(row["created_at"]),
    lastLoginAt: optional(row["last_login_at"]),
    lastError: optional(row["last_error"]),
    counters: {
      mailboxes: Number(row["mailboxes"]),
      messages: Number(row["messages"]),
      messagesHere: Number(row["messages_here"]),
      bytes: Number(row["bytes"]),
      bytesHere: Number(row["bytes_here"]),
    },
  };
}
