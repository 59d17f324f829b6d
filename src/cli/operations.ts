/**
 * What commands do to accounts, the same whether the command owns the data folder or the server does it
 * for the command: progress and result are plain data.
 */
import type { Secret } from "../mail/secret.ts";
import type { MailboxProgress } from "../migration/progress.ts";
import type { AccountCounters, Stage } from "../store/directory.ts";

export type Operation = "migrate" | "verify" | "status" | "create-account";

export interface OperationRequest {
  readonly user: string | undefined;
  readonly password: Secret | undefined;
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

export interface AccountStatus extends AccountCounters {
  readonly user: string;
  readonly stage: Stage;
  readonly legacy: string;
  readonly pulling: boolean;
  readonly lastLoginAt: string | null;
  readonly lastError: string | null;
  /** Only when one user was asked for. */
  readonly perMailbox?: readonly MailboxProgress[];
}
