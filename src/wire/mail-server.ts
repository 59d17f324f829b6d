/** What the listeners of both protocols are told, and what they make of it. */
import type { SecureContext } from "node:tls";
import type { Admit } from "../auth/admission.ts";
import type { Logger } from "../log.ts";
import type { ConnectionTimes } from "./channel.ts";
import { type Accepted, type Connection, createListener, type Listener } from "./listener.ts";

export interface MailServerOptions<Login> extends Partial<ConnectionTimes> {
  /** In the greeting. */
  readonly hostname: string;
  readonly login: Login;
  /** Passwords are taken without TLS; from this machine itself they always are. */
  readonly allowPlaintextLogin: boolean;
  readonly tls: "none" | "starttls" | "implicit";
  /** Needed unless `tls` is none. */
  readonly tlsContext?: SecureContext | undefined;
  readonly logger: Logger;
  /** How long the answer to a wrong password is held back; default 2 s. */
  readonly loginFailureDelayMs?: number;
  /** Default: everybody is let in. */
  readonly admit?: Admit;
}

/** What every session of a listener knows. */
export interface SessionOptions<Login>
  extends Pick<MailServerOptions<Login>, "hostname" | "login" | "allowPlaintextLogin" | "logger"> {
  readonly loginFailureDelayMs: number;
}

export interface MailProtocol<Login> {
  readonly name: "imap" | "pop3";
  readonly idleTimeoutMs: number;
  readonly serve: (accepted: Accepted, options: SessionOptions<Login>, times: ConnectionTimes) => Connection;
  /** What a client is told in clear text that is not let in. */
  readonly refusal: (reason: string) => string;
}

export function createMailServer<Login>(
  options: MailServerOptions<Login>,
  { name, idleTimeoutMs, serve, refusal }: MailProtocol<Login>,
): Listener {
  const { hostname, login, allowPlaintextLogin, tls, tlsContext, admit, logger } = options;
  const times: ConnectionTimes = {
    loginTimeoutMs: options.loginTimeoutMs ?? 3 * 60_000,
    idleTimeoutMs: options.idleTimeoutMs ?? idleTimeoutMs,
    stallTimeoutMs: options.stallTimeoutMs ?? 5 * 60_000,
  };
  const loginFailureDelayMs = options.loginFailureDelayMs ?? 2_000;
  const sessionOptions = { hostname, login, allowPlaintextLogin, loginFailureDelayMs, logger };
  return createListener({
    protocol: name,
    tls,
    tlsContext,
    handshakeTimeoutMs: times.loginTimeoutMs,
    admit,
    logger,
    serve: (accepted) => serve(accepted, sessionOptions, times),
    refusal,
  });
}
