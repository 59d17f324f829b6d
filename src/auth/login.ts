/**
 * Who is this: proves a password on the user's legacy server. A refusal is answered as the legacy server
 * answered it and never remembered as anything else; a success is remembered for a short while in
 * memory, since one mail client logs in several times at once, and captured as a hash. While the legacy
 * server cannot be reached, the captured hash lets its users go on reading what is here. A local account is asked
 * for by its hashes alone.
 */
import { MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Secret } from "../mail/secret.ts";
import type { CapturedPasswords } from "./captured-passwords.ts";
import { expandLogin, legacyFor, parseUserName, type UserName } from "./user-name.ts";

/** What logs in on the legacy server. */
export interface LegacyCredentials {
  readonly login: string;
  readonly password: Secret;
}

export interface LegacyEntry {
  readonly domains: readonly string[];
  /** Template of the login name: see expandLogin. */
  readonly login: string;
}

/** A proven login; `connection` is the one it was proven on, ready for use. */
export interface ProvenLogin<Entry, Connection> {
  readonly user: UserName;
  /** undefined for a local account: nobody else was asked. */
  readonly legacy: Entry | undefined;
  readonly credentials: LegacyCredentials;
  readonly connection: Connection | undefined;
}

export interface LoginAttempt {
  readonly user: string;
  readonly password: Secret;
  readonly authorizationId: string;
  readonly signal: AbortSignal;
}

/** One login to be tried on the legacy server. */
export interface ProofAttempt<Entry> {
  readonly user: UserName;
  readonly legacy: Entry;
  readonly credentials: LegacyCredentials;
  readonly signal: AbortSignal;
}

export interface AuthenticatorOptions<Entry, Connection> {
  readonly legacy: readonly Entry[];
  /** Throws AUTHENTICATIONFAILED with the legacy server's text, or UNAVAILABLE. */
  readonly prove: (attempt: ProofAttempt<Entry>) => Promise<Connection>;
  /** What `prove` threw means that the legacy server cannot be reached: its word is not to be had. */
  readonly isAway: (error: unknown) => boolean;
  readonly captured: CapturedPasswords;
  /** Mailferry has the last word on this account, its passwords included. */
  readonly isLocal: (canonicalName: string) => boolean;
  readonly logger: Logger;
}

/** How long a proven password is taken without asking again. */
const rememberMs = 60_000;
/** Bound on remembered logins; the oldest go first. */
const maxRemembered = 10_000;

export function createAuthenticator<Entry extends LegacyEntry, Connection>(
  options: AuthenticatorOptions<Entry, Connection>,
): (attempt: LoginAttempt) => Promise<ProvenLogin<Entry, Connection>> {
  const { captured, logger } = options;
  const remembered = new Map<string, { readonly credentials: LegacyCredentials; readonly until: number }>();

  const remember = (user: UserName, credentials: LegacyCredentials): void => {
    remembered.delete(user.canonical);
    remembered.set(user.canonical, { credentials, until: performance.now() + rememberMs });
    const oldest = remembered.keys().next().value;
    if (remembered.size > maxRemembered && oldest !== undefined) remembered.delete(oldest);
  };
  const isRemembered = (user: UserName, { login, password }: LegacyCredentials): boolean => {
    const known = remembered.get(user.canonical);
    if (known && known.until < performance.now()) remembered.delete(user.canonical);
    else if (known) return known.credentials.login === login && known.credentials.password.equals(password);
    return false;
  };
  const proveOrRefuse = async (attempt: ProofAttempt<Entry>): Promise<Connection | undefined> => {
    const { user, credentials } = attempt;
    try {
      const connection = await options.prove(attempt);
      remember(user, credentials);
      captured.capture(user.canonical, credentials.password);
      return connection;
    } catch (error) {
      if (error instanceof MailError && error.code === "AUTHENTICATIONFAILED") {
        captured.forget(user.canonical, credentials.password);
      }
      // One that has greeted may be about to refuse the password.
      if (!options.isAway(error) || !(await captured.matches(user.canonical, credentials.password)))
        throw error;
      logger.warn(
        { err: error, account: user.canonical },
        "legacy server is away: login by captured password",
      );
      return undefined;
    }
  };

  return async ({ user: typed, password, authorizationId, signal }) => {
    const user = parseUserName(typed);
    if (!user) throw authenticationFailed();
    if (authorizationId !== "" && parseUserName(authorizationId)?.canonical !== user.canonical) {
      throw new MailError("AUTHORIZATIONFAILED", "Logging in as another user is not allowed");
    }
    const legacy = legacyFor(options.legacy, user);
    if (options.isLocal(user.canonical)) {
      if (!(await captured.matches(user.canonical, password))) throw authenticationFailed();
      // For what may still come to the legacy server after a cutover.
      const login = legacy ? expandLogin(legacy.login, user) : typed;
      return { user, legacy: undefined, credentials: { login, password }, connection: undefined };
    }
    if (!legacy || password.reveal() === "") throw authenticationFailed();
    const credentials = { login: expandLogin(legacy.login, user), password };
    if (isRemembered(user, credentials)) return { user, legacy, credentials, connection: undefined };
    const connection = await proveOrRefuse({ user, legacy, credentials, signal });
    return { user, legacy, credentials, connection };
  };
}

function authenticationFailed(): MailError {
  return new MailError("AUTHENTICATIONFAILED", "Authentication failed.");
}
