/**
 * Opens and authenticates a connection to the old IMAP server: TLS or STARTTLS, CAPABILITY, ID and the
 * login are imapflow's work; after that the socket is ours. imapflow logs nothing, so that no password
 * can get into a log. Passwords go out as UTF-8, whatever the mechanism.
 */
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { ImapFlow } from "imapflow";
import { MailError } from "../errors.ts";
import type { Secret } from "../mail/secret.ts";
import { hostFailure } from "./host-failure.ts";
import { isPassing } from "./refusal.ts";
import { defaultConnectMs, defaultLoginMs, type LegacyServerConfig } from "./server-config.ts";

export interface Credentials {
  readonly login: string;
  readonly password: Secret;
}

export interface OpenedImap {
  readonly socket: Socket;
  /** Upper case, as told after the login. */
  readonly capabilities: ReadonlySet<string>;
  readonly greeting: string;
}

/** Responses up to the end of a login are short, and few. */
const maxLoginBytes = 64 << 10;

/**
 * Throws AUTHENTICATIONFAILED with the server's text when it refuses these credentials, the signal's
 * reason when it is aborted, and UNAVAILABLE for anything else.
 */
export async function connectImap(
  config: LegacyServerConfig,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<OpenedImap> {
  signal.throwIfAborted();
  refuseImpossible(credentials);
  const connectMs = config.timeouts?.connectMs ?? defaultConnectMs;
  const loginMs = config.timeouts?.loginMs ?? defaultLoginMs;
  const client = createClient(config, credentials, { connectMs, loginMs });
  // A failure before the hand-over rejects connect(); without a listener the event would be thrown.
  client.on("error", () => undefined);
  const close = (): void => client.close();
  // Whether it greets in time or not: when that time is over, it is known.
  let timer = setTimeout(() => {
    if (client.greeting === undefined) close();
    else timer = setTimeout(close, loginMs);
  }, connectMs);
  const stopCounting = countBytes(client, close);
  signal.addEventListener("abort", close, { once: true });
  try {
    await client.connect();
    signal.throwIfAborted();
    // Only an OK greeting is kept; PREAUTH (RFC 3501 7.1.4) would take any password for proven.
    if (client.greeting === undefined) throw new Error("the server greets with PREAUTH");
    const socket = client.unbind().socket as Socket;
    const capabilities = new Set([...client.capabilities.keys()].map((name) => name.toUpperCase()));
    return { socket, capabilities, greeting: client.greeting };
  } catch (error) {
    const wasGreeted = client.greeting !== undefined;
    client.close();
    signal.throwIfAborted();
    throw wasGreeted ? loginFailure(error, config) : hostFailure(error, config);
  } finally {
    clearTimeout(timer);
    stopCounting();
    signal.removeEventListener("abort", close);
  }
}

function createClient(
  config: LegacyServerConfig,
  { login, password }: Credentials,
  { connectMs, loginMs }: { readonly connectMs: number; readonly loginMs: number },
): ImapFlow {
  const { host, port, tls, verify, ca } = config;
  return new ImapFlow({
    host,
    port,
    secure: tls === "implicit",
    doSTARTTLS: tls === "starttls",
    tls: { rejectUnauthorized: verify, ...(ca !== undefined && { ca }) },
    auth: { user: login, pass: password.reveal() },
    logger: false,
    clientInfo: { name: "Mailferry", vendor: "Mailferry", "support-url": "", version: "" },
    connectionTimeout: connectMs,
    greetingTimeout: connectMs,
    socketTimeout: connectMs + loginMs,
    maxLiteralSize: maxLoginBytes,
    maxResponseSize: maxLoginBytes,
    // What the old clients saw is what is wanted: no IMAP4rev2, no UTF-8 names, no compression.
    disableAutoEnable: true,
    disableCompression: true,
    disableAutoIdle: true,
    disableIMAP4rev2: true,
  });
}

/** Calls `onTooMany` when more has come than belongs to a login; imapflow would take any number of responses. */
function countBytes(client: ImapFlow, onTooMany: () => void): () => void {
  // Its types do not tell of the stream that its socket is piped into.
  const { streamer } = client as unknown as { readonly streamer: Writable };
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > maxLoginBytes) onTooMany();
  };
  const sockets: Readable[] = [];
  const onPipe = (socket: Readable): void => {
    sockets.push(socket);
    socket.on("data", count);
  };
  streamer.on("pipe", onPipe);
  return () => {
    streamer.off("pipe", onPipe);
    for (const socket of sockets) socket.off("data", count);
  };
}

/** NUL would end a field of SASL PLAIN early, a line end cannot be quoted; no account has such a name. */
function refuseImpossible({ login, password }: Credentials): void {
  const secret = password.reveal();
  if (login === "" || secret === "" || /[\0\r\n]/.test(login) || /[\0\r\n]/.test(secret)) {
    throw new MailError("AUTHENTICATIONFAILED", "Authentication failed.");
  }
}

/** What imapflow's errors may carry. */
interface LoginError {
  readonly message?: string;
  readonly authenticationFailed?: boolean;
  readonly responseStatus?: string;
  readonly responseText?: string;
  readonly serverResponseCode?: string;
}

function loginFailure(error: unknown, { host, port }: LegacyServerConfig): MailError {
  const { authenticationFailed, responseText = "", message = "" } = error as LoginError;
  if (authenticationFailed && isRefusal(error as LoginError)) {
    return new MailError("AUTHENTICATIONFAILED", responseText || "Authentication failed.", error);
  }
  return new MailError("UNAVAILABLE", `The old server ${host}:${port}: ${responseText || message}`, error);
}

/** Says that another try may succeed with the same password; many servers say so without a code. */
const passingText = /temporar|try again|too many|maximum number|unavailable|internal error/i;

function isRefusal({ responseStatus, serverResponseCode, responseText = "" }: LoginError): boolean {
  if (serverResponseCode === "AUTHENTICATIONFAILED") return true;
  // RFC 3501 6.2.2: BAD is a command that was not understood, or a cancelled exchange.
  if (responseStatus !== "NO" || isPassing(serverResponseCode)) return false;
  if (serverResponseCode === "PRIVACYREQUIRED" || serverResponseCode === "REFERRAL") return false;
  return !passingText.test(responseText);
}
