/**
 * One listening socket of a mail protocol: plain, changed to TLS when a client asks, or TLS from the first byte.
 * It owns the socket and its connections. Binding and accepting are apart, so that a process with several
 * listeners can fail before a client has been greeted.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { SecureContext } from "node:tls";
import type { Admit } from "../auth/admission.ts";
import type { Logger } from "../log.ts";
import { upgradeToTls } from "./tls-upgrade.ts";

export interface Connection {
  /** Resolves when the socket is closed; never rejects. */
  readonly finished: Promise<void>;
  /** Lets the running command end, then says goodbye. */
  shutDown(): void;
}

/** Makes TLS of the socket; resolves after the handshake. */
export type Upgrade = (socket: Duplex) => Promise<Duplex>;

/** A client that was let in. */
export interface Accepted {
  readonly stream: Duplex;
  readonly address: string;
  readonly port: number;
  /** TLS is active. */
  readonly secure: boolean;
  /** For STARTTLS, where it is offered. */
  readonly upgrade: Upgrade | undefined;
}

export interface ListenerOptions {
  readonly protocol: "imap" | "pop3";
  readonly tls: "none" | "starttls" | "implicit";
  /** Needed unless `tls` is none. */
  readonly tlsContext?: SecureContext | undefined;
  readonly handshakeTimeoutMs: number;
  /** Default: everybody is let in. */
  readonly admit?: Admit | undefined;
  readonly logger: Logger;
  readonly serve: (accepted: Accepted) => Connection;
  /** What a client is told in clear text that is not let in. */
  readonly refusal: (reason: string) => string;
}

export interface Listener {
  /** Binds; clients that connect are held back until `accept`. Rejects with the system's error. */
  listen(at: { readonly host: string; readonly port: number }): Promise<AddressInfo>;
  accept(): void;
  readonly connectionCount: number;
  /** Lets running commands end; what is still open after `graceMs` (10 s) is cut off. */
  close(graceMs?: number): Promise<void>;
}

/** What a command gets to notice that its client was cut off. */
const afterCutOffMs = 1_000;

export function createListener(options: ListenerOptions): Listener {
  const { protocol, tls, tlsContext, admit, logger } = options;
  if (tls !== "none" && !tlsContext) throw new Error(`a listener with tls: ${tls} needs a certificate`);
  const upgrade =
    tlsContext && ((socket: Duplex) => upgradeToTls(socket, tlsContext, options.handshakeTimeoutMs));
  const open = new Map<Socket, Connection | undefined>();
  const held: Socket[] = [];
  const tasks = new Set<Promise<void>>();
  let accepting = false;
  let closing = false;

  const serve = async (socket: Socket): Promise<void> => {
    const stream = tls === "implicit" && upgrade ? await upgrade(socket) : socket;
    if (closing) return;
    const connection = options.serve({
      stream,
      address: socket.remoteAddress ?? "",
      port: socket.remotePort ?? 0,
      secure: stream !== socket,
      upgrade: tls === "starttls" ? upgrade : undefined,
    });
    open.set(socket, connection);
    await connection.finished;
  };

  const start = (socket: Socket): void => {
    const task = serve(socket)
      .catch((error: unknown) => logger.debug({ err: error }, `${protocol} connection failed`))
      .finally(() => {
        socket.destroy();
        tasks.delete(task);
      });
    tasks.add(task);
  };

  /** In TLS nothing can be said without the work of a handshake. */
  const refuse = (socket: Socket, reason: string): void => {
    logger.info({ address: socket.remoteAddress, reason }, `${protocol} connection refused`);
    if (tls === "implicit") socket.destroy();
    else socket.end(options.refusal(reason), () => socket.destroy());
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
