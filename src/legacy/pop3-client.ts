/**
 * One session at an old POP3 server, from connecting to QUIT: TLS, login and what can be asked of a maildrop.
 * Messages are streamed, byte for byte as the server sends them.
 */
import { once } from "node:events";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { isUnavailable, MailError } from "../errors.ts";
import { type Uidl, uidl } from "../mail/ids.ts";
import type { Secret } from "../mail/secret.ts";
import { anyOf } from "../waiting.ts";
import { hostFailure } from "./host-failure.ts";
import { noteLogin } from "./login-pace.ts";
import { contentAllowance, createPairReader, gatheringAllowance } from "./pop3-allowance.ts";
import { NoListFollows, readCapabilities } from "./pop3-capabilities.ts";
import { createPop3Connection, type Pop3Connection } from "./pop3-connection.ts";
import { logIn } from "./pop3-login.ts";
import type { Pop3Reply } from "./pop3-replies.ts";
import { defaultCommandMs, defaultConnectMs, type LegacyServerConfig } from "./server-config.ts";

export interface Pop3Credentials {
  readonly login: string;
  readonly password: Secret;
  /** SASL: whose maildrop, where it is not that of `login` (a master user). */
  readonly authorizationId?: string;
  /** The password is an OAuth 2 token. */
  readonly isToken?: boolean;
}

type Pop3Write = (bytes: Buffer) => undefined | Promise<void>;

/** Messages are named by their number in this session, from 1. */
export interface Pop3Session {
  /** CAPA's lines: name in upper case, and what stands behind it. */
  readonly capabilities: ReadonlyMap<string, string>;
  readonly isClosed: boolean;
  /** Resolves when it is, however that came. */
  readonly closed: Promise<void>;
  /** When the server has come further last (`performance.now()`). */
  readonly progressAt: number;
  /** Sizes by number. */
  list(): Promise<ReadonlyMap<number, number>>;
  /** UIDLs by number; throws CANNOT where the server has none. */
  uidls(): Promise<ReadonlyMap<number, Uidl>>;
  /** A promise of `write` holds the server back. */
  retrieve(number: number, write: Pop3Write): Promise<void>;
  /** The same by TOP, for which no server marks it as read; throws CANNOT where the server has no TOP. */
  peek(number: number, write: Pop3Write): Promise<void>;
  /** The header, the blank line and so many lines of the body; throws CANNOT where the server has no TOP. */
  top(number: number, lines: number): Promise<Buffer>;
  /** Marks it; QUIT removes it. */
  remove(number: number): Promise<void>;
  reset(): Promise<void>;
  noop(): Promise<void>;
  /**
   * Asks something of this message to which nothing else is an answer: false where something stands between the answers
   * so far and this one, as behind a message that has a line with nothing but a dot and is sent as it is.
   */
  isInStep(number: number): Promise<boolean>;
  /** Removes what is marked, and ends the session. Throws when not all was removed, or that is not known. */
  quit(): Promise<void>;
  /** Ends it without QUIT: nothing is removed. */
  close(): void;
}

/** More than any message has, and what each server can read as a number. */
const allLines = 2_147_483_647;
/** What TOP gives is held in memory. */
const maxTopBytes = 64 << 20;

/**
 * Throws AUTHENTICATIONFAILED with the server's text when it refuses these credentials, INUSE when somebody else has
 * the maildrop, the signal's reason, and UNAVAILABLE for anything else.
 */
export async function openPop3(
  config: LegacyServerConfig,
  credentials: Pop3Credentials,
  signal: AbortSignal,
): Promise<Pop3Session> {
  try {
    return await openOnce(config, credentials, signal);
  } catch (error) {
    if (!(error instanceof NoListFollows)) throw error;
    return openOnce(config, credentials, signal);
  }
}

async function openOnce(
  config: LegacyServerConfig,
  credentials: Pop3Credentials,
  signal: AbortSignal,
): Promise<Pop3Session> {
  const slow = new AbortController();
  const connectMs = config.timeouts?.connectMs ?? defaultConnectMs;
  const timer = setTimeout(() => slow.abort(new Error(`no connection within ${connectMs} ms`)), connectMs);
  const opening = anyOf(signal, slow.signal);
  let connection: Pop3Connection | undefined;
  let isGreeted = false;
  const close = (): void => connection?.close(opening.reason);
  opening.addEventListener("abort", close, { once: true });
  try {
    const wrap = (socket: Socket): Pop3Connection => {
      const silenceMs = config.timeouts?.commandMs ?? defaultCommandMs;
      connection = createPop3Connection({ socket, silenceMs });
      return connection;
    };
    const plain = await openSocket(config, opening);
    const greeted = wrap(config.tls === "implicit" ? await secured(plain, config, opening) : plain);
    const greeting = await greeted.run({ line: undefined });
    isGreeted = true;
    expectOk(greeting);
    const channel = config.tls === "starttls" ? wrap(await startTls(greeted, config, opening)) : greeted;
    const offered = await readCapabilities(channel, config);
    // RFC 6856 2.1: else Courier gives another text in place of one with 8-bit bytes in its header.
    if (offered.has("UTF8")) await channel.run({ line: "UTF8" });
    // An old server may take its time with a big maildrop: as long as for any other answer.
    clearTimeout(timer);
    await logIn(channel, offered, credentials);
    const capabilities = await readCapabilities(channel, config);
    noteLogin(config, credentials.login, capabilities);
    channel.pipelining = capabilities.has("PIPELINING");
    return sessionOf(channel, capabilities);
  } catch (error) {
    connection?.close(error);
    signal.throwIfAborted();
    if (!isGreeted) throw hostFailure(error, config);
    if (error instanceof MailError) throw error;
    throw new MailError(
      "UNAVAILABLE",
      `The old server ${config.host}:${config.port}: ${String(error)}`,
      error,
    );
  } finally {
    clearTimeout(timer);
    opening.removeEventListener("abort", close);
  }
}

function sessionOf(connection: Pop3Connection, capabilities: ReadonlyMap<string, string>): Pop3Session {
  const plain = async (line: string): Promise<void> => expectOk(await connection.run({ line }));
  let hasMarks = false;
  /** What it has told of all, and tells of one: it cannot be known to who has written a message. */
  let told: { readonly command: "LIST" | "UIDL"; readonly texts: ReadonlyMap<number, string> } | undefined;
  const tell = async (command: "LIST" | "UIDL"): Promise<ReadonlyMap<number, string>> => {
    const texts = await readPairs(connection, command);
    if (told?.command !== "UIDL") told = { command, texts };
    return texts;
  };
  const isAnswered = async (command: "LIST" | "UIDL", number: number): Promise<boolean | undefined> => {
    const { ok, text } = await connection.run({ line: `${command} ${number}` });
    if (!ok) return undefined;
    const [, ofNumber, rest = ""] = /^(\d{1,9}) +(\S(?:.*\S)?) *$/.exec(text) ?? [];
    const expected = told?.command === command ? told.texts.get(number) : undefined;
    return Number(ofNumber) === number && (expected === undefined || rest === expected);
  };
  /** By LIST, where it was asked. */
  let sizes: ReadonlyMap<number, number> = new Map();
  const stream = async (number: number, command: string, write: Pop3Write): Promise<void> => {
    const allow = contentAllowance(sizes.get(number));
    const onBytes: Pop3Write = (bytes) => {
      allow(bytes.length);
      return write(bytes);
    };
    expectOk(await connection.run({ line: command, onBytes }));
  };
  return {
    capabilities,
    get isClosed() {
      return connection.isClosed;
    },
    closed: connection.closed,
    get progressAt() {
      return connection.progressAt;
    },
    list: async () => {
      // RFC 1939 5: more may follow the size.
      const listed = [...(await tell("LIST"))].map(
        ([number, text]) => [number, Number.parseInt(text, 10)] as const,
      );
      sizes = new Map(listed.filter(([, size]) => Number.isSafeInteger(size)));
      return sizes;
    },
    uidls: async () => new Map([...(await tell("UIDL"))].map(([number, text]) => [number, uidl(text)])),
    retrieve: (number, write) => stream(number, `RETR ${number}`, write),
    peek: (number, write) => stream(number, `TOP ${number} ${allLines}`, write),
    top: (number, lines) => readBytes(connection, `TOP ${number} ${lines}`, gatheringAllowance(maxTopBytes)),
    remove(number) {
      hasMarks = true;
      return plain(`DELE ${number}`);
    },
    async reset() {
      await plain("RSET");
      hasMarks = false;
    },
    noop: () => plain("NOOP"),
    async isInStep(number) {
      try {
        // Some write down that a UIDL was told: no more of that than was asked for already.
        const byUidl = told?.command === "UIDL" ? await isAnswered("UIDL", number) : undefined;
        return byUidl ?? (await isAnswered("LIST", number)) === true;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        return false;
      }
    },
    async quit() {
      try {
        await plain("QUIT");
      } catch (error) {
        // Some servers hang up instead of answering: with nothing marked nothing depends on it.
        if (hasMarks) throw error;
      } finally {
        connection.close();
      }
    },
    close: () => connection.close(),
  };
}

/** How long a server may take to answer QUIT when others wait. */
const hurryMs = 2_000;

/** Ends it with nothing removed; in good order where that goes quickly: the server frees the maildrop at once. */
export async function leave(session: Pop3Session): Promise<void> {
  if (session.isClosed) return;
  const timer = setTimeout(() => session.close(), hurryMs);
  try {
    await session.quit();
  } catch {
    // It has been left, whatever the server said to that.
  } finally {
    clearTimeout(timer);
    session.close();
  }
}

/** Who waits for an answer has left: nobody needs the session. The end of it is given back. */
export function closeWhenAborted(session: Pick<Pop3Session, "close">, signal: AbortSignal): () => void {
  const close = (): void => session.close();
  if (signal.aborted) close();
  signal.addEventListener("abort", close, { once: true });
  return () => signal.removeEventListener("abort", close);
}

async function readPairs(
  connection: Pop3Connection,
  command: "LIST" | "UIDL",
): Promise<ReadonlyMap<number, string>> {
  const { pairs, onBytes } = createPairReader();
  expectOk(await connection.run({ line: command, onBytes }));
  return pairs;
}

async function readBytes(
  connection: Pop3Connection,
  line: string,
  allow: (bytes: number) => void,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const onBytes = (piece: Buffer): undefined => {
    allow(piece.length);
    pieces.push(piece);
  };
  expectOk(await connection.run({ line, onBytes }));
  return Buffer.concat(pieces);
}

function expectOk({ ok, code, text }: Pop3Reply): void {
  if (ok) return;
  const passing = code === "IN-USE" ? "INUSE" : code?.startsWith("SYS/TEMP") ? "UNAVAILABLE" : "CANNOT";
  throw new MailError(passing, text || "The old POP3 server refuses", `-ERR ${text}`);
}

async function openSocket({ host, port }: LegacyServerConfig, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host, port, noDelay: true, keepAlive: true });
  try {
    await once(socket, "connect", { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function startTls(
  connection: Pop3Connection,
  config: LegacyServerConfig,
  signal: AbortSignal,
): Promise<Socket> {
  expectOk(await connection.run({ line: "STLS" }));
  return secured(connection.detach(), config, signal);
}

async function secured(
  socket: Socket,
  { host, verify, ca }: LegacyServerConfig,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const tls = connectTls({
    socket,
    host,
    // RFC 6066 3: an address is no server name.
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: verify,
    ...(ca !== undefined && { ca }),
  });
  try {
    await once(tls, "secureConnect", { signal });
    return tls;
  } catch (error) {
    tls.destroy();
    throw error;
  }
}
