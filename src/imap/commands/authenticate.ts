/** LOGIN (RFC 3501 6.2.3) and AUTHENTICATE PLAIN and LOGIN (6.2.2, RFC 4616, RFC 4959). */
import { setTimeout as delay } from "node:timers/promises";
import { MailError } from "../../errors.ts";
import { Secret } from "../../mail/secret.ts";
import { disconnected } from "../../wire/output.ts";
import { capabilities, mayLogIn } from "../capabilities.ts";
import { type Call, define } from "../command.ts";
import { bad, no, ok, type Reply } from "../formatter.ts";
import type { NotAuthenticated } from "../state.ts";
import { astring, atom, type Cursor, keyword, ParseError, peek, skip, space } from "../tokens.ts";

interface Credentials {
  readonly user: string;
  readonly password: Secret;
  readonly authorizationId: string;
}

const plaintextRefused = no("A password needs TLS here.", "PRIVACYREQUIRED");

export const login = define({
  name: "LOGIN",
  state: "not-authenticated",
  parse: (cursor): Credentials => {
    space(cursor);
    const user = utf8(astring(cursor));
    space(cursor);
    return { user, password: new Secret(utf8(astring(cursor))), authorizationId: "" };
  },
  run: (call) => (mayLogIn(call.session) ? logIn(call, call.args) : plaintextRefused),
});

interface Exchange {
  readonly mechanism: string;
  /** Base64; `=` stands for an empty one (RFC 4959 3). */
  readonly initial: string | undefined;
}

export const authenticate = define({
  name: "AUTHENTICATE",
  state: "not-authenticated",
  parse: (cursor): Exchange => {
    space(cursor);
    const mechanism = keyword(cursor);
    return { mechanism, initial: skip(cursor, " ") ? initialResponse(cursor) : undefined };
  },
  run: async (call) => {
    const dialogue = mechanisms.get(call.args.mechanism);
    if (!dialogue) return no("Unsupported authentication mechanism.", "CANNOT");
    if (!mayLogIn(call.session)) return plaintextRefused;
    const credentials = await dialogue(call);
    return credentials ? logIn(call, credentials) : bad("Authentication exchange cancelled.");
  },
});

type AuthenticateCall = Call<NotAuthenticated, Exchange>;

/** Each gives undefined when the client cancels with `*`. */
const mechanisms = new Map<string, (call: AuthenticateCall) => Promise<Credentials | undefined>>([
  ["PLAIN", plain],
  ["LOGIN", loginMechanism],
]);

async function plain(call: AuthenticateCall): Promise<Credentials | undefined> {
  const response = await answerTo(call, "", call.args.initial);
  if (response === undefined) return undefined;
  const [authorizationId, user, password, ...more] = response.split("\0");
  if (authorizationId === undefined || !user || password === undefined || more.length > 0) {
    throw new ParseError("Invalid PLAIN response");
  }
  const differs = authorizationId !== user;
  return { user, password: new Secret(password), authorizationId: differs ? authorizationId : "" };
}

/** Nowhere specified but in an expired draft (draft-murchison-sasl-login); Outlook uses it. */
async function loginMechanism(call: AuthenticateCall): Promise<Credentials | undefined> {
  const user = await answerTo(call, "Username:", call.args.initial);
  if (user === undefined) return undefined;
  const password = await answerTo(call, "Password:", undefined);
  return password === undefined ? undefined : { user, password: new Secret(password), authorizationId: "" };
}

/** The client's answer to a challenge, decoded; the first may have come with the command. */
async function answerTo(
  { output, readLine }: AuthenticateCall,
  challenge: string,
  initial: string | undefined,
): Promise<string | undefined> {
  if (initial !== undefined) return decodeBase64(initial === "=" ? "" : initial);
  output.write(`+ ${Buffer.from(challenge).toString("base64")}\r\n`);
  output.send();
  const line = await readLine();
  if (line === undefined) throw disconnected();
  return line === "*" ? undefined : decodeBase64(line);
}

/** Counts and holds back what fails, so that guessing is slow; nobody else waits. */
async function logIn(
  { session, state, signal }: Call<NotAuthenticated, unknown>,
  credentials: Credentials,
): Promise<Reply> {
  if (credentials.user === "" || /[\x00-\x1f\x7f]/.test(credentials.user))
    throw new ParseError("Invalid user name");
  try {
    const account = await session.options.login({ ...credentials, peer: session.peer, signal });
    if (signal.aborted) {
      account.release();
      throw disconnected();
    }
    session.state = { kind: "authenticated", account };
    return ok("Logged in", `CAPABILITY ${capabilities(session)}`);
  } catch (error) {
    if (!isRejection(error)) throw error;
    session.state = { kind: "not-authenticated", failures: state.failures + 1 };
    await delay(session.options.loginFailureDelayMs, undefined, { signal }).catch((cause: unknown) => {
      throw disconnected(cause);
    });
    throw error;
  }
}

function isRejection(error: unknown): boolean {
  return (
    error instanceof MailError &&
    (error.code === "AUTHENTICATIONFAILED" || error.code === "AUTHORIZATIONFAILED")
  );
}

function initialResponse(cursor: Cursor): string {
  if (peek(cursor) === "=") {
    skip(cursor, "=");
    return "=";
  }
  return atom(cursor);
}

function decodeBase64(text: string): string {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new ParseError("Invalid base64");
  return Buffer.from(text, "base64").toString("utf8");
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}
