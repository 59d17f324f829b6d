/** Proving a login at an old POP3 server, within the same bounds as all other sessions with it. */
import type { ConnectionBudget } from "./budget.ts";
import { isHostFailure } from "./host-failure.ts";
import { openPop3, type Pop3Credentials, type Pop3Session, withEnd } from "./pop3-client.ts";
import type { LegacyServerConfig } from "./server-config.ts";

/** The session is idle: it is closed when others need the room. */
export interface ProvenPop3 {
  readonly session: Pop3Session;
  /** It is in use from now on, by who has a permit. */
  take(): void;
}

export interface Pop3ProofOptions {
  readonly config: LegacyServerConfig;
  readonly credentials: Pop3Credentials;
  readonly budget: ConnectionBudget;
  readonly user: string;
}

/** Throws AUTHENTICATIONFAILED with the old server's text, INUSE or UNAVAILABLE. */
export async function provePop3Login(options: Pop3ProofOptions, signal: AbortSignal): Promise<ProvenPop3> {
  const { budget, user } = options;
  const permit = await budget.acquire(user, { priority: "interactive", signal });
  try {
    const session = withEnd(await openWithin(options, signal), () => place.leave());
    const place = permit.releaseIdle(() => session.quit());
    return { session, take: () => place.leave() };
  } finally {
    permit.release();
  }
}

/** For the holder of a permit: fails fast while the host is away. */
export async function openWithin(
  { config, credentials, budget }: Omit<Pop3ProofOptions, "user">,
  signal: AbortSignal,
): Promise<Pop3Session> {
  if (budget.backoff.failure !== undefined) throw budget.backoff.failure;
  try {
    await budget.makeRoom();
    const session = await openPop3(config, credentials, signal);
    budget.backoff.noteSuccess();
    return session;
  } catch (error) {
    if (isHostFailure(error)) budget.backoff.noteFailure(error);
    throw error;
  }
}
