/** USER, PASS (RFC 1939 7), AUTH PLAIN and LOGIN (RFC 5034), STLS (RFC 2595 4). */
import { type Credentials, saslMechanisms } from "../../auth/sasl.ts";
import { isWrongLogin } from "../../errors.ts";
import { Secret } from "../../mail/secret.ts";
import { askClient, holdBack, isUserName, mayLogIn } from "../../wire/log-in.ts";
import { BadCommand, type Call, define, noArgument, ok, type Reply } from "../command.ts";
import type { Authorization } from "../state.ts";

const plaintextRefused: Reply = { ok: false, text: "A password needs TLS here." };

export const user = define({
  name: "USER",
  state: "authorization",
  run: ({ session, state, argument }) => {
    if (!mayLogIn(session)) return plaintextRefused;
    if (argument === "") throw new BadCommand("Missing user name");
    session.state = { ...state, user: utf8(argument) };
    return ok("");
  },
});

export const pass = define({
  name: "PASS",
  state: "authorization",
  run: (call) => {
    const { session, state, argument } = call;
    if (state.user === undefined) throw new BadCommand("No username given.");
    session.state = { ...state, user: undefined };
    // RFC 1939 7: spaces belong to the password.
    return logIn(call, { user: state.user, password: new Secret(utf8(argument)), authorizationId: "" });
  },
});

export const auth = define({
  name: "AUTH",
  state: "authorization",
  run: async (call) => {
    const [mechanism = "", initial, ...more] = call.argument.split(" ");
    if (mechanism === "" || more.length > 0) throw new BadCommand("Invalid AUTH");
    const dialogue = saslMechanisms.get(mechanism.toUpperCase());
    if (!dialogue) return { ok: false, text: "Unsupported authentication mechanism." };
    if (!mayLogIn(call.session)) return plaintextRefused;
    const credentials = await dialogue({
      initial,
      ask: (challenge) => askClient(call, challenge),
      invalid: (reason) => new BadCommand(reason),
    });
    return credentials ? logIn(call, credentials) : { ok: false, text: "Authentication exchange cancelled." };
  },
});

export const startTls = define({
  name: "STLS",
  state: "authorization",
  run: (call) => {
    noArgument(call);
    if (call.session.peer.secure) return { ok: false, text: "TLS is already active." };
    if (!call.session.startTls) return { ok: false, text: "TLS is not available here." };
    return { ...ok("Begin TLS negotiation now."), next: "tls" };
  },
});

/** Counts and holds back what fails, so that guessing is slow; nobody else waits. */
async function logIn(
  { session, state, signal }: Call<Authorization>,
  credentials: Credentials,
): Promise<Reply> {
  if (!isUserName(credentials.user)) throw new BadCommand("Invalid user name");
  try {
    const account = await session.options.login({ ...credentials, peer: session.peer, signal });
    try {
      signal.throwIfAborted();
      const maildrop = await account.maildrop(signal);
      session.state = {
        kind: "transaction",
        account,
        maildrop,
        deleted: new Set(),
        retrieved: new Set(),
      };
    } catch (error) {
      account.release();
      throw error;
    }
    return ok("Logged in.");
  } catch (error) {
    if (!isWrongLogin(error)) throw error;
    session.state = { ...state, user: undefined, failures: state.failures + 1 };
    await holdBack(session.options.loginFailureDelayMs, signal);
    throw error;
  }
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}
