/**
 * What commands do to accounts, the same whether the command owns the data folder or the server does it
 * for the command: progress and result are plain data.
 */
import type { Secret } from "../mail/secret.ts";
import type { HeldMailbox } from "../migration/held-deletions.ts";
import type { Choice, HindranceKind } from "../migration/hindrance.ts";
import type { OperatorWord } from "../migration/operator-words.ts";
import type { MailboxProgress } from "../migration/progress.ts";
import type { Decision } from "../migration/settle-hindrances.ts";
import type { AccountCounters, Stage } from "../store/directory.ts";
import type { Repair } from "../store/repairs.ts";
import type { SetAsideMailbox } from "../store/set-aside-mailbox.ts";

export type Operation =
  | "migrate"
  | "verify"
  | "status"
  | "create-account"
  | "cutover"
  | "cutover-dry-run"
  | "rollback"
  | "handover"
  | "held-deletions"
  | "accept-deletions"
  | "refuse-deletions"
  | "problems"
  | "settle-problems";

export interface OperationRequest {
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** Of `verify`. */
  readonly samplePercent?: number | undefined;
  /** Of what stands in the way. */
  readonly decision?: Decision | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: unknown) => void;
}

export interface MigrateProgress extends AccountCounters {
  readonly elapsedMs: number;
  /** Brought across since this command began to look. */
  readonly messagesDone: number;
  readonly bytesDone: number;
}

export interface MigrateResult extends AccountCounters {
  readonly user: string;
  readonly complete: boolean;
  readonly problems: readonly string[];
  readonly elapsedMs: number;
}

export interface CutoverResult {
  readonly user: string;
  /** How long changes were held back, in milliseconds; none for a dry run. */
  readonly heldMs?: number | undefined;
  /** What the operator's hook did not take in, afterwards. */
  readonly hookProblem?: string | undefined;
  /** There was nothing to do. */
  readonly wasLocal?: boolean | undefined;
}

export interface RollbackResult {
  readonly user: string;
  /** How long changes were held back, in milliseconds; none where there was nothing to do. */
  readonly heldMs?: number | undefined;
  /** What could not be kept as it was. */
  readonly notes: readonly string[];
  /** What the operator's hook did not take in. */
  readonly hookProblem?: string | undefined;
}

/** The maildrop of the legacy POP3 server, and how much of it is known here. */
export interface MaildropStatus {
  readonly messages: number;
  readonly matched: number;
  readonly problems: readonly string[];
}

/** Deletions that are, or were, held. */
export interface HeldResult {
  readonly held: readonly HeldMailbox[];
  /** Mailboxes that are gone, and whose files are kept for some days. */
  readonly setAside?: readonly SetAsideMailbox[];
  /** The mailbox that the messages are in now. */
  readonly rescued?: string | undefined;
}

/** Something that stands between an account and `complete`. */
export interface Problem {
  readonly id: string;
  readonly kind: HindranceKind;
  readonly mailbox: string | null;
  readonly uid: number | null;
  readonly uidl: string | null;
  /** How often it was tried in vain, where that is counted. */
  readonly tries: number | null;
  readonly words: string;
  readonly choices: readonly Choice[];
}

export interface ProblemsResult {
  readonly problems: readonly Problem[];
  /** Those that the decision was about. */
  readonly settled?: readonly Problem[] | undefined;
  readonly decisions: readonly OperatorWord[];
}

export interface AccountStatus extends AccountCounters {
  readonly user: string;
  readonly stage: Stage;
  readonly legacy: string;
  readonly pulling: boolean;
  /** Commands that ask the legacy server need no password file. */
  readonly credentialsKnown: boolean;
  /** Both sides have been equal since, as far as the automatic cutover has looked. */
  readonly equalSince: string | null;
  readonly lastLoginAt: string | null;
  readonly lastError: string | null;
  /** Only when one user was asked for. */
  readonly perMailbox?: readonly MailboxProgress[];
  /** The same, where the legacy server has POP3. */
  readonly maildrop?: MaildropStatus;
  /** What operators have accepted or refused; only when one user was asked for. */
  readonly decisions?: readonly OperatorWord[];
  /** What had to be made again of the account's databases, the last times; only when one user was asked for. */
  readonly repairs?: readonly Repair[];
}
