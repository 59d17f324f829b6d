/** One IMAP listener: its sessions, and how long they may take. */
import { randomBytes } from "node:crypto";
import type { Login } from "../account/account.ts";
import type { Accepted, Listener } from "../wire/listener.ts";
import { createMailServer, type MailServerOptions } from "../wire/mail-server.ts";
import { serveConnection } from "./connection.ts";
import { formatText, untagged } from "./formatter.ts";
import type { Session, SessionOptions } from "./state.ts";

export type ImapServerOptions = MailServerOptions<Login>;

export type ImapServer = Listener;

export function createImapServer(options: ImapServerOptions): ImapServer {
  return createMailServer(options, {
    name: "imap",
    idleTimeoutMs: 30 * 60_000,
    serve: (accepted, sessionOptions, times) =>
      serveConnection(accepted.stream, newSession(accepted, sessionOptions), times, accepted.upgrade),
    refusal: (reason) => untagged(`BYE ${formatText(reason)}`),
  });
}

function newSession({ address, port, secure, upgrade }: Accepted, options: SessionOptions): Session {
  const id = randomBytes(8).toString("base64url");
  return {
    id,
    options,
    state: { kind: "not-authenticated", failures: 0 },
    peer: { address, port, session: id, protocol: "imap", secure },
    startTls: upgrade !== undefined,
    enabled: { condstore: false, qresync: false },
    upload: undefined,
    onNews: undefined,
    badCommands: 0,
    wake: () => {},
  };
}
