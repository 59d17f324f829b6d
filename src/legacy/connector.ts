/**
 * Opens one user's connections: knows when a try is worth while.
 *
 * What always holds
 * - After a failure, interactive tries fail at once with it until the back-off is over. Failures of the
 *   host are shared by all its users; a refusal of this user (too many connections, in use) is not.
 * - Credentials that the server has refused are not tried again for a while: it may lock the account.
 */
import { isUnavailable, MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createBackoff } from "./backoff.ts";
import type { ConnectionBudget } from "./budget.ts";
import type { Credentials } from "./connect.ts";
import { isHostFailure } from "./host-failure.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { openConnection } from "./prove-login.ts";
import type { LegacyServerConfig } from "./server-config.ts";
import type { LeaseOptions } from "./source.ts";

export interface ConnectorOptions {
  readonly config: LegacyServerConfig;
  /** undefined while there are none: UNAVAILABLE then. */
  readonly credentials: () => Credentials | undefined;
  readonly budget: ConnectionBudget;
  readonly logger: Logger;
}

export interface Connector {
  readonly isBackingOff: boolean;
  /** What the last try that failed ended with, for a minute. */
  readonly trouble: string | undefined;
  /** Resolves when the back-off is over; rejects with the signal's reason. */
  waitOut(signal: AbortSignal): Promise<void>;
  /** The caller has a permit. */
  connect(request: LeaseOptions): Promise<ImapConnection>;
  /** The user's login was proven elsewhere. */
  noteLogin(): void;
}

const refusedForMs = 10 * 60_000;
const troubleForMs = 60_000;

interface Refused {
  readonly credentials: Credentials;
  readonly error: unknown;
  readonly until: number;
}

export function createConnector({ config, credentials, budget, logger }: ConnectorOptions): Connector {
  const userBackoff = createBackoff();
  const backoffs = [budget.backoff, userBackoff];
  let refused: Refused | undefined;
  let trouble: { readonly message: string; readonly until: number } | undefined;

  const failure = (): unknown => budget.backoff.failure ?? userBackoff.failure;

  const currentCredentials = (): Credentials => {
    const current = credentials();
    if (!current) throw new MailError("UNAVAILABLE", "Nobody is logged in whose password could be used");
    if (refused && refused.until > performance.now() && isSame(refused.credentials, current)) {
      throw refused.error;
    }
    return current;
  };

  const noteFailure = (used: Credentials, error: unknown): void => {
    if (!(error instanceof MailError)) return;
    logger.warn({ err: error }, "no connection to the old server");
    trouble = { message: error.message, until: performance.now() + troubleForMs };
    if (isHostFailure(error)) budget.backoff.noteFailure(error);
    else if (isUnavailable(error)) userBackoff.noteFailure(error);
    else refused = { credentials: used, error, until: performance.now() + refusedForMs };
  };

  return {
    get isBackingOff() {
      return failure() !== undefined;
    },
    get trouble() {
      return trouble && trouble.until > performance.now() ? trouble.message : undefined;
    },
    async waitOut(signal) {
      for (const backoff of backoffs) await backoff.wait(signal);
    },
    async connect({ priority, signal }) {
      const current = currentCredentials();
      const last = failure();
      if (last !== undefined && priority === "interactive") throw last;
      await budget.makeRoom();
      try {
        const connection = await openConnection(config, current, signal, logger);
        for (const backoff of backoffs) backoff.noteSuccess();
        return connection;
      } catch (error) {
        noteFailure(current, error);
        throw error;
      }
    },
    noteLogin() {
      refused = undefined;
      userBackoff.noteSuccess();
    },
  };
}

function isSame(a: Credentials, b: Credentials): boolean {
  return a.login === b.login && a.password.equals(b.password);
}
