/**
 * What is known of an account on its way to the cutover, in directory.db: how long both sides have been equal, what
 * stood against it, and what the operator's hook has not taken in.
 */
import type { DatabaseSync } from "node:sqlite";

export interface CutoverNote {
  /** Both sides were found equal then, and at every look since. */
  readonly equalSince: Date | undefined;
  /** When they were last looked at, or a cutover was tried by policy, whatever came of it. */
  readonly lookedAt: Date | undefined;
  /** What came of that, where it failed; for people. */
  readonly problem: string | undefined;
  /** What the hook was to be told and was not, for people. */
  readonly hookProblem: string | undefined;
  /** It became local then: an account that is not any more was rolled back. */
  readonly cutOverAt: Date | undefined;
}

export interface CutoverNotes {
  read(user: string): CutoverNote;
  /** The fields that are given are replaced. */
  write(user: string, changes: Partial<CutoverNote>): void;
}

const schema = `
  CREATE TABLE IF NOT EXISTS cutover_notes (
    user TEXT PRIMARY KEY,
    equal_since TEXT,
    looked_at TEXT,
    problem TEXT,
    hook_problem TEXT,
    cut_over_at TEXT
  ) STRICT, WITHOUT ROWID;
`;

export function openCutoverNotes(db: DatabaseSync): CutoverNotes {
  db.exec(schema);
  const select = db.prepare("SELECT * FROM cutover_notes WHERE user = ?");
  const replace = db.prepare("INSERT OR REPLACE INTO cutover_notes VALUES (?, ?, ?, ?, ?, ?)");
  const read = (user: string): CutoverNote => {
    const row = select.get(user);
    return {
      equalSince: dateOf(row?.["equal_since"]),
      lookedAt: dateOf(row?.["looked_at"]),
      problem: textOf(row?.["problem"]),
      hookProblem: textOf(row?.["hook_problem"]),
      cutOverAt: dateOf(row?.["cut_over_at"]),
    };
  };
  return {
    read,
    write(user, changes) {
      const { equalSince, lookedAt, problem, hookProblem, cutOverAt } = { ...read(user), ...changes };
      const dates = [equalSince, lookedAt, cutOverAt].map((date) => date?.toISOString() ?? null);
      const [since = null, looked = null, cutOver = null] = dates;
      replace.run(user, since, looked, problem ?? null, hookProblem ?? null, cutOver);
    },
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function dateOf(value: unknown): Date | undefined {
  return typeof value === "string" ? new Date(value) : undefined;
}
