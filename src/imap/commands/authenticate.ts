/** LOGIN (RFC 3501 6.2.3) and AUTHENTICATE PLAIN and LOGIN (6.2.2, RFC 4616, RFC 4959). */
import { type Credentials, saslMechanisms } from "../../auth/sasl.ts";
import { isWrongLogin } from "../../errors.ts";
import { Secret } from "../../mail/secret.ts";
import { askClient, holdBack, isUserName, mayLogIn } from "../../wire/log-in.ts";
import { disconnected } from "../../wire/output.ts";
import { capabilities } from "../capabilities.ts";
import { type Call, define } from "../command.ts";
import { bad, no, ok, type Reply } from "../formatter.ts";
import type { NotAuthenticated } from "../state.ts";
import { astring, atom, type Cursor, keyword, ParseError, peek, skip, space } from "../tokens.ts";

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
    const { mechanism, initial } = call.args;
    const dialogue = saslMechanisms.get(mechanism);
    if (!dialogue) return no("Unsupported authentication mechanism.", "CANNOT");
    if (!mayLogIn(call.session)) return plaintextRefused;
    const credentials = await dialogue({
      initial,
      ask: (challenge) => askClient(call, challenge),
      invalid: (reason) => new ParseError(reason),
    });
    return credentials ? logIn(call, credentials) : bad("Authentication exchange cancelled.");
  },
});

/** Counts and holds back what fails, so that guessing is slow; nobody else waits. */
async function logIn(
  { session, state, signal }: Call<NotAuthenticated, unknown>,
  credentials: Credentials,
): Promise<Reply> {
  if (!isUserName(credentials.user)) throw new ParseError("Invalid user name");
  try {
    const account = await session.options.login({ ...credentials, peer: session.peer, signal });
    if (signal.aborted) {
      account.release();
      throw disconnected();
    }
    session.state = { kind: "authenticated", account };
    return ok("Logged in", `CAPABILITY ${capabilities(session)}`);
  } catch (error) {
    if (!isWrongLogin(error)) throw error;
    session.state = { kind: "not-authenticated", failures: state.failures + 1 };
    await holdBack(session.options.loginFailureDelayMs, signal);
    throw error;
  }
}

function initialResponse(cursor: Cursor): string {
  if (peek(cursor) === "=") {
    skip(cursor, "=");
    return "=";
  }
  return atom(cursor);
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}
