/**
 * What can go wrong, told apart by who has to act. A `MailError` carries what the client is told (an
 * RFC 5530 response code and a text) and, as `cause`, what the log says. Whatever else is thrown is a
 * fault of ours: it goes whole to the log and the client sees `[SERVERBUG]`.
 */

/** RFC 5530 response codes (and RFC 3501's own) that a refusal can carry. */
const responseCodes = [
  "ALREADYEXISTS",
  "AUTHENTICATIONFAILED",
  "AUTHORIZATIONFAILED",
  "CANNOT",
  "CLIENTBUG",
  "EXPIRED",
  "EXPUNGEISSUED",
  "INUSE",
  "LIMIT",
  "NONEXISTENT",
  "NOPERM",
  "OVERQUOTA",
  "PRIVACYREQUIRED",
  "SERVERBUG",
  "TRYCREATE",
  "UNAVAILABLE",
] as const;

export type ResponseCode = (typeof responseCodes)[number];

/** A code that another server has sent, where it is one that may be passed on. */
export function knownResponseCode(code: string | undefined): ResponseCode | undefined {
  return responseCodes.find((known) => known === code);
}

/** A refusal: `code` and `message` go to the client, `cause` to the log. */
export class MailError extends Error {
  override readonly name = "MailError";
  readonly code: ResponseCode | undefined;

  constructor(code: ResponseCode | undefined, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/**
 * A change was sent and its answer never came, nor could its outcome be found out. The client is told
 * neither OK nor NO, since both may be a lie that loses or doubles mail: its session ends.
 */
export class OutcomeUnknown extends MailError {
  constructor(cause: unknown) {
    super("UNAVAILABLE", "The connection to the mail server behind was lost", cause);
  }
}

/**
 * The old server cannot give something of some messages: it ends the connection, refuses or falls silent each time it
 * is asked for one of them. Of the others all that was asked for could be had.
 */
export class Unreadable extends MailError {
  /** UIDs. */
  readonly messages: ReadonlySet<number>;

  constructor(messages: ReadonlySet<number>, { code, message, cause }: MailError) {
    super(code, message, cause);
    this.messages = messages;
  }
}

/** What `work` has brought, or what it could not bring of some messages. */
export async function unlessUnreadable<T>(work: Promise<T>): Promise<T | Unreadable> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Unreadable) return error;
    throw error;
  }
}

/** What `work` could not bring of some messages where it has brought the rest. */
export async function unreadableIn(work: Promise<unknown>): Promise<Unreadable | undefined> {
  const outcome = await unlessUnreadable(work);
  return outcome instanceof Unreadable ? outcome : undefined;
}

/** The old server lets nobody in so soon after the last login (RFC 2449 6.5). */
export class TooSoon extends MailError {
  constructor(message: string, cause?: unknown) {
    super("UNAVAILABLE", message, cause);
  }
}

/** The configuration is wrong; `message` names the key and what was expected. Exit code 2. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Narrows an unknown error to one that the legacy server or network caused and that may pass. */
export function isUnavailable(error: unknown): error is MailError {
  return hasCode(error, "UNAVAILABLE", "INUSE");
}

/** Nothing was done: the same may be asked of another connection. */
export function mayBeRetried(error: unknown): error is MailError {
  return isUnavailable(error) && !(error instanceof OutcomeUnknown);
}

/** In whatever words: the legacy server would not, and will not when it is asked again. */
export function isLasting(error: unknown): error is MailError {
  return error instanceof MailError && !isUnavailable(error);
}

/** A wrong password, or one that opens something else; not a server that could not tell. */
export function isWrongLogin(error: unknown): error is MailError {
  return hasCode(error, "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED");
}

export function isNonexistent(error: unknown): error is MailError {
  return hasCode(error, "NONEXISTENT");
}

/** The legacy server could be asked and will not do it; asked again it will not either. */
export function isRefused(error: unknown): error is MailError {
  return hasCode(error, "CANNOT");
}

/** undefined where the legacy server refuses. */
export async function unlessRefused<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isRefused(error)) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, ...codes: readonly ResponseCode[]): error is MailError {
  return error instanceof MailError && error.code !== undefined && codes.includes(error.code);
}

/** The `never` end of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new Error(`unexpected value ${String(value)}`);
}
