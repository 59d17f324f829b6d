/** One POP3 listener: its sessions, and how long they may take. */
import { randomBytes } from "node:crypto";
import type { SecureContext } from "node:tls";
import type { Login } from "../account/account.ts";
import type { Admit } from "../auth/admission.ts";
import type { Logger } from "../log.ts";
import { type Accepted, createListener, type Listener } from "../wire/listener.ts";
import { formatReply } from "./command.ts";
import { type ConnectionTimes, serveConnection } from "./connection.ts";
import type { Session, SessionOptions } from "./state.ts";

export interface Pop3ServerOptions extends Partial<ConnectionTimes> {
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

const defaultTimes: ConnectionTimes = {
  loginTimeoutMs: 3 * 60_000,
  idleTimeoutMs: 10 * 60_000,
  stallTimeoutMs: 5 * 60_000,
};

export function createPop3Server(options: Pop3ServerOptions): Listener {
  const { hostname, login, allowPlaintextLogin, logger } = options;
  const times: ConnectionTimes = {
    loginTimeoutMs: options.loginTimeoutMs ?? defaultTimes.loginTimeoutMs,
    idleTimeoutMs: options.idleTimeoutMs ?? defaultTimes.idleTimeoutMs,
    stallTimeoutMs: options.stallTimeoutMs ?? defaultTimes.stallTimeoutMs,
  };
  const loginFailureDelayMs = options.loginFailureDelayMs ?? 2_000;
  const sessionOptions: SessionOptions = {
    hostname,
    login,
    allowPlaintextLogin,
    loginFailureDelayMs,
    logger,
  };
  return createListener({
    protocol: "pop3",
    tls: options.tls,
    tlsContext: options.tlsContext,
    handshakeTimeoutMs: times.loginTimeoutMs,
    admit: options.admit,
    logger,
    serve: (accepted) =>
      serveConnection(accepted.stream, newSession(accepted, sessionOptions), times, accepted.upgrade),
    refusal: (reason) => formatReply({ ok: false, code: "SYS/TEMP", text: reason }),
  });
}

function newSession({ address, port, secure, upgrade }: Accepted, options: SessionOptions): Session {
  const id = randomBytes(8).toString("base64url");
  return {
    id,
    options,
    state: { kind: "authorization", user: undefined, failures: 0 },
    peer: { address, port, session: id, protocol: "pop3", secure },
    startTls: upgrade !== undefined,
    badCommands: 0,
  };
}
