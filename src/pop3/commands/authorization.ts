/** USER, PASS (RFC 1939 7), AUTH PLAIN and LOGIN (RFC 5034), STLS (RFC 2595 4). */
import { setTimeout as delay } from "node:timers/promises";
import { MailError } from "../../errors.ts";
import { Secret } from "../../mail/secret.ts";
import { isLoopback } from "../../wire/loopback.ts";
import { disconnected } from "../../wire/output.ts";
import { BadCommand, type Call, define, noArgument, ok, type Reply } from "../command.ts";
import type { Authorization, Session } from "../state.ts";

interface Credentials {
  readonly user: string;
  readonly password: Secret;
  readonly authorizationId: string;
}

const plaintextRefused: Reply = { ok: false, text: "A password needs TLS here." };

/** A password goes over TLS, stays within this machine, or the operator has allowed it in the clear. */
export function mayLogIn({ peer, options }: Session): boolean {
  return peer.secure || options.allowPlaintextLogin || isLoopback(peer.address);
}

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
    const dialogue = mechanisms.get(mechanism.toUpperCase());
    if (!dialogue) return { ok: false, text: "Unsupported authentication mechanism." };
    if (!mayLogIn(call.session)) return plaintextRefused;
    const credentials = await dialogue(call, initial);
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

type AuthCall = Call<Authorization>;
type Dialogue = (call: AuthCall, initial: string | undefined) => Promise<Credentials | undefined>;

/** Each gives undefined when the client cancels with `*`. */
const mechanisms: ReadonlyMap<string, Dialogue> = new Map<string, Dialogue>([
  ["PLAIN", plain],
  ["LOGIN", loginMechanism],
]);

async function plain(call: AuthCall, initial: string | undefined): Promise<Credentials | undefined> {
  const response = await answerTo(call, "", initial);
  if (response === undefined) return undefined;
  const [authorizationId, name, password, ...more] = response.split("\0");
  if (authorizationId === undefined || !name || password === undefined || more.length > 0)
    throw new BadCommand("Invalid PLAIN response");
  return {
    user: name,
    password: new Secret(password),
    authorizationId: authorizationId === name ? "" : authorizationId,
  };
}

async function loginMechanism(call: AuthCall, initial: string | undefined): Promise<Credentials | undefined> {
  const name = await answerTo(call, "Username:", initial);
  if (name === undefined) return undefined;
  const password = await answerTo(call, "Password:", undefined);
  return password === undefined
    ? undefined
    : { user: name, password: new Secret(password), authorizationId: "" };
}

async function answerTo(
  { output, readLine }: AuthCall,
  challenge: string,
  initial: string | undefined,
): Promise<string | undefined> {
  // `=` is an empty one (RFC 5034 4).
  if (initial !== undefined) return decodeBase64(initial === "=" ? "" : initial);
  output.write(`+ ${Buffer.from(challenge).toString("base64")}\r\n`);
  output.send();
  const line = await readLine();
  if (line === undefined) throw disconnected();
  return line === "*" ? undefined : decodeBase64(line);
}

/** Counts and holds back what fails, so that guessing is slow; nobody else waits. */
async function logIn({ session, state, signal }: AuthCall, credentials: Credentials): Promise<Reply> {
  if (credentials.user === "" || /[\x00-\x1f\x7f]/.test(credentials.user))
    throw new BadCommand("Invalid user name");
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
    if (!isRejection(error)) throw error;
    session.state = { ...state, user: undefined, failures: state.failures + 1 };
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

function decodeBase64(text: string): string {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new BadCommand("Invalid base64");
  return Buffer.from(text, "base64").toString("utf8");
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}
