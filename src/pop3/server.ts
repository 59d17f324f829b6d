/** One POP3 listener: its sessions, and how long they may take. */
import { randomBytes } from "node:crypto";
import type { Login } from "../account/account.ts";
import type { Accepted, Listener } from "../wire/listener.ts";
import { createMailServer, type MailServerOptions } from "../wire/mail-server.ts";
import { formatReply } from "./command.ts";
import { serveConnection } from "./connection.ts";
import type { Session, SessionOptions } from "./state.ts";

export type Pop3ServerOptions = MailServerOptions<Login>;

export function createPop3Server(options: Pop3ServerOptions): Listener {
  return createMailServer(options, {
    name: "pop3",
    idleTimeoutMs: 10 * 60_000,
    serve: (accepted, sessionOptions, times) =>
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
