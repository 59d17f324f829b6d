/**
 * All open accounts of this process: one object per user, whoever is connected. An account opens with
 * the first session or job and closes some time after the last one has left and its pull has ended.
 */
import { MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Mirror } from "../migration/mirror.ts";
import type { AccountHandle } from "./account.ts";
import { createHandle } from "./handle.ts";
import type { MaildropLock, Pop3Options } from "./maildrop.ts";
import { createPatience, type Patience } from "./patience.ts";
import { createRecentLedger } from "./recent.ts";

export interface Accounts<Login> {
  /** A session's hold, after its password was proven. The background pull starts. */
  attach(user: string, login: Login): Promise<AccountHandle>;
  /** Runs a job on the account; `login` is undefined where it needs no legacy server or one is known. */
  withMirror<T>(user: string, login: Login | undefined, work: (mirror: Mirror) => Promise<T>): Promise<T>;
  /** True when the account is open and has what it takes to log in on the legacy server. */
  isOpen(user: string): boolean;
  /** Ends its sessions and closes it: it can be opened anew. */
  drop(user: string): Promise<void>;
  /** A POP3 session of the user is served by the old server. */
  isRelaying(user: string): boolean;
  /** Ends all; sessions must have been ended before. */
  close(): Promise<void>;
}

/** A mirror and the means to give it fresh credentials. */
export interface OpenedMirror<Login> {
  readonly mirror: Mirror;
  /** How long its legacy server is waited for where it can be done without; default: 5 s. */
  readonly patienceMs?: number | undefined;
  renew(login: Login): void;
  close(): Promise<void>;
}

export interface AccountsOptions<Login> {
  readonly open: (user: string, login: Login | undefined) => Promise<OpenedMirror<Login>>;
  readonly logger: Logger;
  readonly pop3: Pop3Options;
  /** How long an account stays open after its last session, in milliseconds. */
  readonly lingerMs?: number;
  /** How often the legacy server is asked about mailboxes that nobody has open, in milliseconds. */
  readonly pollMs?: number;
}

interface Entry<Login> {
  readonly user: string;
  readonly opening: Promise<OpenedMirror<Login>>;
  readonly maildropLock: MaildropLock;
  /** Made with the first session. */
  patience: Patience | undefined;
  /** Closed under its sessions: why. */
  ended: string | undefined;
  holders: number;
  timer: NodeJS.Timeout | undefined;
  /** Runs while somebody holds it. */
  polling: NodeJS.Timeout | undefined;
}

export function createAccounts<Login>(options: AccountsOptions<Login>): Accounts<Login> {
  const { logger, lingerMs = 30_000, pollMs = 5 * 60_000 } = options;
  const entries = new Map<string, Entry<Login>>();
  const closings = new Map<string, Promise<void>>();
  let closed = false;

  const hold = async (user: string, login: Login | undefined): Promise<[Entry<Login>, Mirror]> => {
    while (closings.has(user)) await closings.get(user);
    if (closed) throw new MailError("UNAVAILABLE", "Server is shutting down");
    const known = entries.get(user);
    const entry: Entry<Login> = known ?? {
      user,
      opening: options.open(user, login),
      maildropLock: { isHeld: false },
      patience: undefined,
      ended: undefined,
      holders: 0,
      timer: undefined,
      polling: undefined,
    };
    entries.set(user, entry);
    clearTimeout(entry.timer);
    entry.holders++;
    try {
      const { mirror, renew, patienceMs } = await entry.opening;
      entry.patience ??= createPatience(patienceMs);
      if (known && login !== undefined) renew(login);
      // Mail comes into mailboxes that no client is looking at, too.
      if (entry.holders > 0) entry.polling ??= setInterval(() => mirror.wake(), pollMs);
      return [entry, mirror];
    } catch (error) {
      entry.holders--;
      if (entries.get(user) === entry) entries.delete(user);
      throw error;
    }
  };
  const release = (entry: Entry<Login>): void => {
    entry.holders--;
    if (entry.holders > 0) return;
    clearInterval(entry.polling);
    entry.polling = undefined;
    if (!closed) linger(entry);
  };
  const linger = (entry: Entry<Login>): void => {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => void closeIfIdle(entry), lingerMs);
  };
  const closeIfIdle = async (entry: Entry<Login>): Promise<void> => {
    const { mirror } = await entry.opening;
    if (entry.holders > 0 || entries.get(entry.user) !== entry) return;
    if (mirror.busy) linger(entry);
    else await closeEntry(entry);
  };
  const closeEntry = async (entry: Entry<Login>): Promise<void> => {
    clearTimeout(entry.timer);
    clearInterval(entry.polling);
    entries.delete(entry.user);
    const closing = entry.opening
      .then((opened) => opened.close())
      .catch((error: unknown) =>
        logger.error({ err: error, account: entry.user }, "closing an account failed"),
      )
      .finally(() => closings.delete(entry.user));
    closings.set(entry.user, closing);
    await closing;
  };

  return {
    async attach(user, login) {
      const [entry, mirror] = await hold(user, login);
      mirror.wakeIfBehind();
      return createHandle({
        user,
        mirror,
        recentLedger: createRecentLedger(),
        patience: entry.patience ?? createPatience(),
        maildropLock: entry.maildropLock,
        pop3: options.pop3,
        logger: logger.child({ account: user }),
        onRelease: () => release(entry),
        ended: () => entry.ended,
      });
    },
    async withMirror(user, login, work) {
      const [entry, mirror] = await hold(user, login);
      try {
        return await work(mirror);
      } finally {
        release(entry);
      }
    },
    isOpen: (user) => entries.has(user),
    async drop(user) {
      const entry = entries.get(user);
      if (!entry) return;
      entry.ended = "The account is opened anew, please log in again";
      const { mirror } = await entry.opening;
      for (const { state } of mirror.opened()) state.announceGone(entry.ended);
      await closeEntry(entry);
    },
    isRelaying: (user) => entries.get(user)?.maildropLock.isRelayed === true,
    async close() {
      closed = true;
      await Promise.all([...entries.values()].map(closeEntry));
      await Promise.all(closings.values());
    },
  };
}
