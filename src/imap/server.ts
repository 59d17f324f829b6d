/**
 * One IMAP listener: plain, with STARTTLS, or TLS from the first byte. It owns the listening socket and
 * its connections. Binding and accepting are apart, so that a process with several listeners can fail
 * before a client has been greeted.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { SecureContext } from "node:tls";
import type { Login } from "../account/account.ts";
import type { Admit } from "../auth/admission.ts";
import type { Logger } from "../log.ts";
import { type Connection, type ConnectionTimes, serveConnection } from "./connection.ts";
import { formatText, untagged } from "./formatter.ts";
import type { Session, SessionOptions } from "./state.ts";
import { upgradeToTls } from "./tls-upgrade.ts";

export interface ImapServerOptions extends Partial<ConnectionTimes> {
  /** In the greeting. */
  readonly hostname: string;
  readonly login: Login;
  /** Passwords are taken without TLS; from this machine itself they always are. */
  readonly allowPlaintextLogin: boolean;
  readonly tls: "none" | "starttls" | "implicit";
  /** Needed unless `tls` is none. */
  readonly tlsContext?: SecureContext | undefined;
  readonly logger: Logger;
  /** Default 2 s. */
  readonly loginFailureDelayMs?: number;
  /** Default: everybody is let in. */
  readonly admit?: Admit;
}

export interface ImapServer {
  /** Binds; clients that connect are held back until `accept`. Rejects with the system's error. */
  listen(at: { readonly host: string; readonly port: number }): Promise<AddressInfo>;
  accept(): void;
  readonly connectionCount: number;
  /** Lets running commands end and says BYE; what is still open after `graceMs` (10 s) is cut off. */
  close(graceMs?: number): Promise<void>;
}

const defaultTimes: ConnectionTimes = {
  loginTimeoutMs: 3 * 60_000,
  idleTimeoutMs: 30 * 60_000,
  stallTimeoutMs: 5 * 60_000,
};

/** What a command gets to notice that its client was cut off. */
const afterCutOffMs = 1_000;

export function createImapServer(options: ImapServerOptions): ImapServer {
  const { tls, tlsContext, admit } = options;
  if (tls !== "none" && !tlsContext) throw new Error(`a listener with tls: ${tls} needs a certificate`);
  const times: ConnectionTimes = {
    loginTimeoutMs: options.loginTimeoutMs ?? defaultTimes.loginTimeoutMs,
    idleTimeoutMs: options.idleTimeoutMs ?? defaultTimes.idleTimeoutMs,
    stallTimeoutMs: options.stallTimeoutMs ?? defaultTimes.stallTimeoutMs,
  };
  const sessionOptions: SessionOptions = {
    hostname: options.hostname,
    login: options.login,
    allowPlaintextLogin: options.allowPlaintextLogin,
    loginFailureDelayMs: options.loginFailureDelayMs ?? 2_000,
    logger: options.logger,
  };
  const upgrade = tlsContext && ((socket: Duplex) => upgradeToTls(socket, tlsContext, times.loginTimeoutMs));
  const open = new Map<Socket, Connection | undefined>();
  const held: Socket[] = [];
  const tasks = new Set<Promise<void>>();
  let accepting = false;
  let closing = false;

  const serve = async (socket: Socket): Promise<void> => {
    const stream = tls === "implicit" && upgrade ? await upgrade(socket) : socket;
    if (closing) return;
    const session = newSession(socket, stream !== socket, tls === "starttls", sessionOptions);
    const connection = serveConnection(stream, session, times, tls === "starttls" ? upgrade : undefined);
    open.set(socket, connection);
    await connection.finished;
  };

  const start = (socket: Socket): void => {
    const task = serve(socket)
      .catch((error: unknown) => options.logger.debug({ err: error }, "imap connection failed"))
      .finally(() => {
        socket.destroy();
        tasks.delete(task);
      });
    tasks.add(task);
  };

  /** In TLS nothing can be said without the work of a handshake. */
  const refuse = (socket: Socket, reason: string): void => {
    options.logger.info({ address: socket.remoteAddress, reason }, "imap connection refused");
    if (tls === "implicit") socket.destroy();
    else socket.end(untagged(`BYE ${formatText(reason)}`), () => socket.destroy());
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
    // The peer may reset before anything else listens.
    socket.on("error", () => {});
    const admission = admit?.(socket.remoteAddress ?? "");
    if (admission?.kind === "refused") return refuse(socket, admission.reason);
    socket.once("close", () => {
      open.delete(socket);
      admission?.leave();
    });
    open.set(socket, undefined);
    if (accepting) start(socket);
    else held.push(socket);
  });

  return {
    listen: async ({ host, port }) => {
      server.listen({ host, port });
      await once(server, "listening");
      return server.address() as AddressInfo;
    },
    accept: () => {
      accepting = true;
      for (const socket of held.splice(0)) start(socket);
    },
    get connectionCount() {
      return open.size;
    },
    close: async (graceMs = 10_000) => {
      closing = true;
      const closed = server.listening ? once(server, "close") : undefined;
      server.close();
      for (const [socket, connection] of open) {
        if (connection) connection.shutDown();
        else socket.destroy();
      }
      const ended = new AbortController();
      const cutOff = async (): Promise<void> => {
        await delay(graceMs, undefined, ended);
        for (const socket of open.keys()) socket.destroy();
        await delay(afterCutOffMs, undefined, ended);
      };
      await Promise.race([Promise.all([closed, ...tasks]), cutOff().catch(() => {})]);
      ended.abort();
      open.clear();
    },
  };
}

function newSession(socket: Socket, secure: boolean, startTls: boolean, options: SessionOptions): Session {
  const id = randomBytes(8).toString("base64url");
  return {
    id,
    options,
    state: { kind: "not-authenticated", failures: 0 },
    peer: {
      address: socket.remoteAddress ?? "",
      port: socket.remotePort ?? 0,
      session: id,
      protocol: "imap",
      secure,
    },
    startTls,
    enabled: { condstore: false, qresync: false },
    upload: undefined,
    onNews: undefined,
    badCommands: 0,
    wake: () => {},
  };
}
