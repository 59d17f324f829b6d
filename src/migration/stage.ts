/**
 * The stages of an account and the only way from one to another. Nothing else writes a stage.
 */
import { MailError } from "../errors.ts";
import { writeAccountRecord } from "../store/account-record.ts";
import type { Directory, Stage } from "../store/directory.ts";

export type { Stage } from "../store/directory.ts";

/** From each stage, where it may go. `complete` falls back when there is mail that is not here yet. */
const transitions: Readonly<Record<Stage, readonly Stage[]>> = {
  new: ["mirroring", "local"],
  mirroring: ["complete", "local"],
  complete: ["mirroring", "local"],
  // By a rollback.
  local: ["mirroring"],
};

/**
 * Moves the account and writes its account.json in `accountDirectory`; staying where it is is no
 * transition. Throws `CANNOT` for a forbidden one.
 */
export function moveToStage(directory: Directory, accountDirectory: string, user: string, to: Stage): void {
  const row = directory.account(user);
  if (!row) throw new MailError("NONEXISTENT", `no account ${user}`);
  if (row.stage === to) return;
  if (!transitions[row.stage].includes(to)) {
    throw new MailError("CANNOT", `an account cannot go from ${row.stage} to ${to}`);
  }
  // The directory decides: once it says so, nothing is left that could fail.
  writeAccountRecord(accountDirectory, { ...row, stage: to });
  directory.writeStage(user, to);
}
