/** Opening a connection, and proving a login by it. */
import { type Logger, silentLogger } from "../log.ts";
import type { ConnectionBudget } from "./budget.ts";
import { type Credentials, connectImap } from "./connect.ts";
import { isHostFailure } from "./host-failure.ts";
import { createIdleConnection, type IdleConnection } from "./idle-connection.ts";
import { createImapConnection, type ImapConnection } from "./imap-connection.ts";
import type { LegacyServerConfig } from "./server-config.ts";

/** A proven login's connection; it closes itself when no source adopts it. */
export type LegacyConnection = IdleConnection;

export interface ProveOptions {
  readonly logger?: Logger;
  /** With it a login waits for a connection of the user's share, and fails fast while the host is away. */
  readonly share?: { readonly budget: ConnectionBudget; readonly user: string };
}

/** How long a proven connection waits for its source. */
const unadoptedMs = 60_000;

/**
 * Proves a login; throws AUTHENTICATIONFAILED with the server's text, or UNAVAILABLE. The connection can
 * be handed to the user's source, so that logging in costs the old server one login only.
 */
export async function proveLogin(
  config: LegacyServerConfig,
  credentials: Credentials,
  signal: AbortSignal,
  { logger = silentLogger, share }: ProveOptions = {},
): Promise<LegacyConnection> {
  if (!share) {
    const connection = await openConnection(config, credentials, signal, logger);
    return createIdleConnection(connection, unadoptedMs, () => undefined);
  }
  const { budget, user } = share;
  const permit = await budget.acquire(user, { priority: "interactive", signal });
  try {
    if (budget.backoff.failure !== undefined) throw budget.backoff.failure;
    await budget.makeRoom();
    const connection = await openConnection(config, credentials, signal, logger);
    budget.backoff.noteSuccess();
    const idle = createIdleConnection(connection, unadoptedMs, () => place.leave());
    const place = permit.releaseIdle(() => idle.close());
    return idle;
  } catch (error) {
    if (isHostFailure(error)) budget.backoff.noteFailure(error);
    throw error;
  } finally {
    permit.release();
  }
}

export async function openConnection(
  config: LegacyServerConfig,
  credentials: Credentials,
  signal: AbortSignal,
  logger: Logger,
): Promise<ImapConnection> {
  const startedAt = performance.now();
  const { socket, capabilities, greeting } = await connectImap(config, credentials, signal);
  const durationMs = Math.round(performance.now() - startedAt);
  logger.debug({ host: config.host, port: config.port, greeting, durationMs }, "connected to the old server");
  const commandTimeoutMs = config.timeouts?.commandMs;
  return createImapConnection({
    socket,
    capabilities,
    greeting,
    logger,
    ...(commandTimeoutMs !== undefined && { commandTimeoutMs }),
  });
}
