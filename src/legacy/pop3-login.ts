/** USER and PASS (RFC 1939 7), AUTH PLAIN (RFC 5034, RFC 4616) and AUTH XOAUTH2. */
import { MailError, TooSoon } from "../errors.ts";
import type { Pop3Credentials } from "./pop3-client.ts";
import type { Pop3Connection } from "./pop3-connection.ts";
import type { Pop3Reply } from "./pop3-replies.ts";

/** Throws AUTHENTICATIONFAILED with the server's text, INUSE and UNAVAILABLE. */
export async function logIn(
  connection: Pop3Connection,
  capabilities: ReadonlyMap<string, string>,
  credentials: Pop3Credentials,
): Promise<void> {
  const { login, password, authorizationId = "", isToken = false } = credentials;
  refuseImpossible(login, password.reveal());
  const mechanisms = new Set((capabilities.get("SASL") ?? "").toUpperCase().split(" "));
  if (isToken) {
    const response = `user=${login}\x01auth=Bearer ${password.reveal()}\x01\x01`;
    return expectLogin(await authenticate(connection, "XOAUTH2", response));
  }
  if (mechanisms.has("PLAIN") || authorizationId !== "") {
    const response = `${authorizationId}\0${login}\0${password.reveal()}`;
    return expectLogin(await authenticate(connection, "PLAIN", response));
  }
  expectLogin(await connection.run({ line: `USER ${asUtf8(login)}` }));
  expectLogin(await connection.run({ line: `PASS ${asUtf8(password.reveal())}` }));
}

/** RFC 4422 3.4: an initial response is sent behind the challenge where a line would be too long (RFC 5034 4). */
async function authenticate(
  connection: Pop3Connection,
  mechanism: string,
  response: string,
): Promise<Pop3Reply> {
  const encoded = Buffer.from(response, "utf8").toString("base64");
  const isShort = encoded.length + mechanism.length < maxLineChars;
  const reply = await connection.run({
    line: isShort ? `AUTH ${mechanism} ${encoded}` : `AUTH ${mechanism}`,
  });
  if (!reply.isChallenge) return reply;
  // A server that wants more than it was given tells why it refuses (XOAUTH2), or did not read it.
  return connection.run({ line: isShort ? "" : encoded });
}

const maxLineChars = 240;

function expectLogin({ ok, code, text }: Pop3Reply): void {
  if (ok) return;
  const cause = `-ERR ${text}`;
  // What the code says goes before what the text may mean (RFC 3206).
  const isAuth = code === "AUTH";
  if (code === "IN-USE" || (!isAuth && inUseText.test(text))) throw new MailError("INUSE", text, cause);
  if (code === "LOGIN-DELAY" || (!isAuth && tooSoonText.test(text))) throw new TooSoon(text, cause);
  if (code === "SYS/TEMP" || (!isAuth && passingText.test(text)))
    throw new MailError("UNAVAILABLE", text, cause);
  throw new MailError("AUTHENTICATIONFAILED", text || "Authentication failed.", cause);
}

/** Somebody else has the maildrop; an account that is locked is another thing. */
const inUseText =
  /\b(maildrop|mailbox|mail ?drop|session|spool)\b.*\b(lock(ed)?|in use|busy)\b|\b(lock(ed)?|in use|busy)\b.*\b(maildrop|mailbox|session|spool)\b|exclusive (access|lock)|already in use/i;
const tooSoonText = /login delay|minimum .*between/i;
/** Says that another try may succeed with the same password. */
const passingText = /temporar|too many|maximum number|unavailable|internal error/i;

function refuseImpossible(login: string, password: string): void {
  if (login === "" || password === "" || /[\0\r\n]/.test(login) || /[\0\r\n]/.test(password))
    throw new MailError("AUTHENTICATIONFAILED", "Authentication failed.");
}

/** Lines go out as latin1: one char for each byte. */
function asUtf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
