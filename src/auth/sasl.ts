/** SASL PLAIN (RFC 4616) and LOGIN, as IMAP's AUTHENTICATE and POP3's AUTH have them alike. */
import { Secret } from "../mail/secret.ts";

export interface Credentials {
  readonly user: string;
  readonly password: Secret;
  readonly authorizationId: string;
}

export interface SaslExchange {
  /** Base64; `=` stands for an empty one (RFC 4959 3, RFC 5034 4). */
  readonly initial: string | undefined;
  /** Sends a challenge, base64, and gives the line that answers it. */
  readonly ask: (challenge: string) => Promise<string>;
  /** What is thrown where the client's answer makes no sense. */
  readonly invalid: (reason: string) => Error;
}

/** Gives undefined when the client cancels with `*`. */
export type SaslMechanism = (exchange: SaslExchange) => Promise<Credentials | undefined>;

/** By name, in upper case. */
export const saslMechanisms: ReadonlyMap<string, SaslMechanism> = new Map([
  ["PLAIN", plain],
  ["LOGIN", login],
]);

async function plain(exchange: SaslExchange): Promise<Credentials | undefined> {
  const response = await answerTo(exchange, "", exchange.initial);
  if (response === undefined) return undefined;
  const [authorizationId, user, password, ...more] = response.split("\0");
  if (authorizationId === undefined || !user || password === undefined || more.length > 0)
    throw exchange.invalid("Invalid PLAIN response");
  const differs = authorizationId !== user;
  return { user, password: new Secret(password), authorizationId: differs ? authorizationId : "" };
}

/** Nowhere specified but in an expired draft (draft-murchison-sasl-login); Outlook uses it. */
async function login(exchange: SaslExchange): Promise<Credentials | undefined> {
  const user = await answerTo(exchange, "Username:", exchange.initial);
  if (user === undefined) return undefined;
  const password = await answerTo(exchange, "Password:", undefined);
  return password === undefined ? undefined : { user, password: new Secret(password), authorizationId: "" };
}

/** The client's answer to a challenge, decoded; the first may have come with the command. */
async function answerTo(
  { ask, invalid }: SaslExchange,
  challenge: string,
  initial: string | undefined,
): Promise<string | undefined> {
  const line = initial ?? (await ask(Buffer.from(challenge).toString("base64")));
  if (initial === undefined && line === "*") return undefined;
  const base64 = initial === "=" ? "" : line;
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw invalid("Invalid base64");
  return Buffer.from(base64, "base64").toString("utf8");
}
