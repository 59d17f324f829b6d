/** One entry of `legacy` in the configuration, with the budgets that all its users share. */
import type { ProofAttempt } from "./auth/login.ts";
import type { LegacyConfig, LegacyServerConfig as ServerConfig } from "./config.ts";
import { type ConnectionBudget, createConnectionBudget } from "./legacy/budget.ts";
import { type LegacyConnection, proveLogin } from "./legacy/imap-source.ts";
import { type ProvenPop3, provePop3Login } from "./legacy/prove-pop3-login.ts";
import { defaultConnectMs, type LegacyServerConfig } from "./legacy/server-config.ts";
import type { Logger } from "./log.ts";
import { readPem } from "./read-pem.ts";

export interface LegacyHost {
  readonly domains: readonly string[];
  readonly login: string;
  readonly imap: LegacyEndpoint | undefined;
  readonly pop3: LegacyEndpoint | undefined;
  /** How long clients wait for it where they can be answered from here. */
  readonly patienceMs: number;
  /** For people: `imap://host:port`, or `pop3://…` where there is nothing else. */
  readonly label: string;
}

export interface LegacyEndpoint {
  readonly target: LegacyServerConfig;
  /** Each protocol has its own: a POP3 session that waits for IMAP must not be what IMAP waits for. */
  readonly budget: ConnectionBudget;
}

/** What a login was proven by, ready for use. */
export type LegacyProof =
  | { readonly kind: "imap"; readonly connection: LegacyConnection }
  | { readonly kind: "pop3"; readonly proven: ProvenPop3 };

export function legacyHost(config: LegacyConfig): LegacyHost {
  const { imap, pop3, domains, login, connections, timeout, patience } = config;
  const endpoint = (name: string, server: ServerConfig | undefined): LegacyEndpoint | undefined =>
    server && { target: targetOf(name, server, timeout), budget: createConnectionBudget(connections) };
  const shown = imap ?? pop3;
  return {
    domains,
    login,
    patienceMs: patience * 1_000,
    imap: endpoint("legacy.imap.ca", imap),
    pop3: endpoint("legacy.pop3.ca", pop3),
    label: `${imap ? "imap" : "pop3"}://${shown?.host}:${shown?.port}`,
  };
}

function targetOf(key: string, server: ServerConfig, timeoutSeconds: number): LegacyServerConfig {
  const { host, port, tls, verify, ca } = server;
  const commandMs = timeoutSeconds * 1_000;
  const timeouts = { commandMs, connectMs: Math.min(commandMs, defaultConnectMs) };
  return { host, port, tls, verify, timeouts, ...(ca !== undefined && { ca: readPem(key, ca) }) };
}

/** Throws AUTHENTICATIONFAILED with the old server's text, INUSE or UNAVAILABLE. */
export async function prove(attempt: ProofAttempt<LegacyHost>, logger: Logger): Promise<LegacyProof> {
  const { user, legacy, credentials, signal } = attempt;
  if (legacy.imap) {
    const { target, budget } = legacy.imap;
    const share = { budget, user: user.canonical };
    return { kind: "imap", connection: await proveLogin(target, credentials, signal, { logger, share }) };
  }
  if (!legacy.pop3) throw new Error("a legacy server has IMAP, POP3 or both");
  const { target: config, budget } = legacy.pop3;
  const proven = await provePop3Login({ config, credentials, budget, user: user.canonical }, signal);
  return { kind: "pop3", proven };
}
