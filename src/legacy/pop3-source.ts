/**
 * One user's legacy POP3 server. A maildrop has room for one session (RFC 1939 4), so there is one at a time:
 * the background gives way to a client.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isWrongLogin, MailError } from "../errors.ts";
import { anyOf, waitWith } from "../waiting.ts";
import type { ConnectionBudget, Permit } from "./budget.ts";
import type { ImapConnectionPool } from "./imap-source.ts";
import { inPace, mayLogInAfterMs } from "./login-pace.ts";
import { leave, type Pop3Credentials, type Pop3Session } from "./pop3-client.ts";
import { openMarked } from "./pop3-marked.ts";
import { openWithin, type ProvenPop3 } from "./prove-pop3-login.ts";
import type { LegacyServerConfig } from "./server-config.ts";
import type { Priority } from "./source.ts";

export interface Pop3Source {
  /** Whose maildrop it is one of: the same for all its users. */
  readonly server: object;
  /** For a client, who ends the session. Throws INUSE, UNAVAILABLE and AUTHENTICATIONFAILED. */
  open(signal: AbortSignal): Promise<Pop3Session>;
  /**
   * For the background: throws INUSE while a client has the maildrop. The signal that `work` gets is aborted when
   * one comes; the session ends with QUIT after `work`.
   */
  inBackground<T>(
    signal: AbortSignal,
    work: (session: Pop3Session, signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  /** In how long the background may log in; 0 for now. */
  backgroundInMs(): number;
  /** A session on which the login was proven: the next one who wants one gets it. */
  adopt(proven: ProvenPop3): void;
  close(): Promise<void>;
}

export interface Pop3SourceOptions {
  readonly config: LegacyServerConfig;
  /** undefined while there are none: UNAVAILABLE then. */
  readonly credentials: () => Pop3Credentials | undefined;
  readonly budget: ConnectionBudget;
  readonly user: string;
  /** Where the same mail is there by IMAP. */
  readonly aside?: ImapConnectionPool["aside"] | undefined;
}

/** Servers end a session that is silent for ten minutes (RFC 1939 3). */
const keepAliveMs = 60_000;
/** How long the background may take to end. */
const hurryMs = 2_000;
/** How long credentials that the server has refused are not tried again: it may lock the account. */
const refusedForMs = 10 * 60_000;
/** A server that has just been left may still think that somebody is there. */
const inUseTries = 5;
const inUsePauseMs = 300;
const leavingMs = 2_000;

export function createPop3Source(options: Pop3SourceOptions): Pop3Source {
  const { config, credentials, budget, user } = options;
  const closing = new AbortController();
  let adopted: ProvenPop3 | undefined;
  let client: Pop3Session | "coming" | undefined;
  /** When the background has left the maildrop last. */
  let leftAt = Number.NEGATIVE_INFINITY;
  let refused:
    | { readonly credentials: Pop3Credentials; readonly error: unknown; readonly until: number }
    | undefined;
  let background: { readonly giveWay: AbortController; readonly ended: Promise<unknown> } | undefined;

  const takeAdopted = (): Pop3Session | undefined => {
    const taken = adopted?.take();
    adopted = undefined;
    return taken;
  };
  /** The other ways to the mail wait meanwhile, where the server does not bear both. */
  const aside = options.aside ?? ((work) => work(false));
  const connect = (priority: Priority, signal: AbortSignal): Promise<Pop3Session> => {
    const login = credentials()?.login;
    if (adopted || login === undefined) return connectOnce(priority, signal);
    return inPace(config, { login, priority, signal }, () => connectOnce(priority, signal));
  };
  const connectOnce = async (priority: Priority, signal: AbortSignal): Promise<Pop3Session> => {
    const permit = await budget.acquire(user, { priority, signal });
    const known = takeAdopted();
    const isLone = await aside(async (isAlone) => isAlone);
    if (known && !isLone) return held(known, permit);
    await known?.quit().catch(() => undefined);
    const current = credentials();
    try {
      if (!current) throw new MailError("UNAVAILABLE", "Nobody is logged in whose password could be used");
      if (refused && refused.until > performance.now() && isSame(refused.credentials, current))
        throw refused.error;
      const open = (): Promise<Pop3Session> => openWithin({ config, credentials: current, budget }, signal);
      return held(await (isLone ? openMarked(open, aside) : open()), permit);
    } catch (error) {
      permit.release();
      if (current && isWrongLogin(error))
        refused = { credentials: current, error, until: performance.now() + refusedForMs };
      throw error;
    }
  };

  const refuseSecond = (): void => {
    if (client === "coming" || client?.isClosed === false) throw inUse();
  };
  const openForClient = async (signal: AbortSignal): Promise<Pop3Session> => {
    const wasBusy = background !== undefined || performance.now() - leftAt < leavingMs;
    background?.giveWay.abort(inUse());
    if (background) await waitWith(background.ended, signal);
    for (let tries = wasBusy ? inUseTries : 1; ; tries--) {
      try {
        return keptAlive(await connect("interactive", signal));
      } catch (error) {
        if (tries <= 1 || !(error instanceof MailError && error.code === "INUSE")) throw error;
        await delay(inUsePauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  };

  return {
    server: config,
    async open(signal) {
      refuseSecond();
      client = "coming";
      try {
        const session = await openForClient(anyOf(signal, closing.signal));
        client = session;
        return session;
      } catch (error) {
        client = undefined;
        throw error;
      }
    },
    async inBackground(signal, work) {
      while (background) await waitWith(background.ended, signal);
      refuseSecond();
      const giveWay = new AbortController();
      const working = anyOf(signal, giveWay.signal, closing.signal);
      const run = async (): Promise<Awaited<ReturnType<typeof work>>> => {
        const session = await connect("background", working);
        // A server that does not answer must not keep a client waiting.
        const hurry = (): void => void setTimeout(() => session.close(), hurryMs).unref();
        working.addEventListener("abort", hurry, { once: true });
        try {
          const result = await work(session, working);
          await session.quit();
          return result;
        } finally {
          working.removeEventListener("abort", hurry);
          await leave(session);
          leftAt = performance.now();
        }
      };
      const result = run();
      const ended = result.catch(() => undefined).finally(() => (background = undefined));
      background = { giveWay, ended };
      return result;
    },
    backgroundInMs() {
      const login = credentials()?.login;
      return login === undefined || adopted ? 0 : mayLogInAfterMs(config, login, "background");
    },
    adopt(proven) {
      void adopted?.leave();
      adopted = closing.signal.aborted ? undefined : proven;
      if (!adopted) void proven.leave();
    },
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "the account is being closed"));
      await adopted?.leave();
      if (client !== "coming") client?.close();
      await background?.ended;
    },
  };
}

function isSame(a: Pop3Credentials, b: Pop3Credentials): boolean {
  return a.login === b.login && a.password.equals(b.password);
}

function inUse(): MailError {
  return new MailError("INUSE", "The maildrop is in use by another session");
}

/** Gives the permit back with its end. */
function held(session: Pop3Session, permit: Permit): Pop3Session {
  void session.closed.then(() => permit.release());
  return session;
}

function keptAlive(session: Pop3Session): Pop3Session {
  const timer = setInterval(() => void session.noop().catch(() => undefined), keepAliveMs);
  void session.closed.then(() => clearInterval(timer));
  return session;
}
