/** Proving a login at an old POP3 server, within the same bounds as all other sessions with it. */
import type { ConnectionBudget } from "./budget.ts";
import { isHostFailure } from "./host-failure.ts";
import { inPace } from "./login-pace.ts";
import { leave, openPop3, type Pop3Credentials, type Pop3Session } from "./pop3-client.ts";
import type { LegacyServerConfig } from "./server-config.ts";

/** A session that waits for its use: it is closed when others need the room, and when nobody wants it in time. */
export interface ProvenPop3 {
  /** For who has a permit, once; undefined where it is gone. */
  take(): Pop3Session | undefined;
  /** It is not wanted. */
  leave(): Promise<void>;
}

export interface Pop3ProofOptions {
  readonly config: LegacyServerConfig;
  readonly credentials: Pop3Credentials;
  readonly budget: ConnectionBudget;
  readonly user: string;
}

/** How long it waits for its use. */
const untakenMs = 10_000;

/** Throws AUTHENTICATIONFAILED with the old server's text, INUSE or UNAVAILABLE. */
export function provePop3Login(options: Pop3ProofOptions, signal: AbortSignal): Promise<ProvenPop3> {
  const { config, credentials } = options;
  const { login } = credentials;
  return inPace(config, { login, priority: "interactive", signal }, () => proveOnce(options, signal));
}

async function proveOnce(options: Pop3ProofOptions, signal: AbortSignal): Promise<ProvenPop3> {
  const { budget, user } = options;
  const permit = await budget.acquire(user, { priority: "interactive", signal });
  try {
    const session = await openWithin(options, signal);
    let isWaiting = true;
    /** Its place is free from now on. */
    const claim = (): boolean => {
      const wasWaiting = isWaiting;
      isWaiting = false;
      clearTimeout(timer);
      place.leave();
      return wasWaiting && !session.isClosed;
    };
    const end = async (): Promise<void> => {
      if (claim()) await leave(session);
    };
    const timer = setTimeout(() => void end(), untakenMs);
    const place = permit.releaseIdle(end);
    void session.closed.then(claim);
    return { take: () => (claim() ? session : undefined), leave: end };
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
