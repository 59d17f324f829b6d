/**
 * Builds everything from the configuration once and owns its lifetime: nothing else holds state of the
 * process. What opens here is closed here, in the opposite order.
 */
import { createSecureContext, type SecureContext } from "node:tls";
import type { Login } from "./account/account.ts";
import { createAccounts, type OpenedMirror } from "./account/accounts.ts";
import { createAdmission } from "./auth/admission.ts";
import { createCapturedPasswords } from "./auth/captured-passwords.ts";
import { createAuthenticator } from "./auth/login.ts";
import { addressBlock, networkTest } from "./auth/networks.ts";
import { createPenalties } from "./auth/penalties.ts";
import { createPlaces } from "./auth/places.ts";
import { legacyFor, type UserName, userNameOf } from "./auth/user-name.ts";
import { createSideChanges, type SideChanges } from "./change-sides.ts";
import type { Config } from "./config.ts";
import { ConfigError, MailError } from "./errors.ts";
import { createImapServer, type ImapServerOptions } from "./imap/server.ts";
import { isHostFailure } from "./legacy/host-failure.ts";
import { type LegacyHost, type LegacyProof, legacyHost, prove } from "./legacy-host.ts";
import type { Logger } from "./log.ts";
import type { Secret } from "./mail/secret.ts";
import { beginLocalAccount } from "./migration/local-mirror.ts";
import type { Mirror } from "./migration/mirror.ts";
import { type MailboxProgress, progressOf, sumProgress } from "./migration/progress.ts";
import { moveToStage } from "./migration/stage.ts";
import { type LegacyLogin, type OpenAccount, openAccount } from "./open-account.ts";
import { createOperatorHook } from "./operator-hook.ts";
import { createPop3Server } from "./pop3/server.ts";
import { readPem } from "./read-pem.ts";
import { recordedUser } from "./store/account-record.ts";
import { accountDirectory } from "./store/data-dir.ts";
import { type AccountCounters, type Directory, openDirectory } from "./store/directory.ts";
import { createFlusher } from "./store/flusher.ts";
import { openAccountStore } from "./store/open.ts";
import { isRefusal, storing } from "./store/store-errors.ts";
import { startSyncHelper } from "./store/sync-helper.ts";
import type { Trouble } from "./store/watch-damage.ts";
import { createWriter } from "./store/writer.ts";

export interface BoundListener {
  readonly protocol: "imap" | "pop3";
  readonly address: string;
  readonly port: number;
  readonly tls: "none" | "starttls" | "implicit";
}

export interface Mailferry extends SideChanges {
  readonly directory: Directory;
  /** Binds all listeners, then lets them accept. */
  listen(): Promise<readonly BoundListener[]>;
  canonicalName(user: string): string;
  /** Makes an empty account in stage `local`; gives its canonical name. Throws ALREADYEXISTS. */
  createAccount(user: string, password: Secret): Promise<string>;
  isPulling(user: string): boolean;
  /** Of accounts that are open, and not local. */
  openUsers(): readonly string[];
  /** What its user has logged in with is known, and the legacy server can be asked. */
  hasCredentials(user: string): boolean;
  /** How the last pull of an open account ended, for people. */
  liveOutcome(user: string): { readonly problem: string | undefined } | undefined;
  /** Why the old server has not given a connection in the last minute. */
  liveTrouble(user: string): string | undefined;
  /** How far an open account has come; undefined when it is not open. */
  liveCounters(user: string): AccountCounters | undefined;
  /** The same by mailbox, of those that were opened so far; none when the account is not open. */
  liveMailboxes(user: string): readonly MailboxProgress[];
  /** Runs a job on what is here. */
  inspect<T>(user: string, work: (mirror: Mirror) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export async function createMailferry(config: Config, logger: Logger): Promise<Mailferry> {
  const hosts = config.legacy.map(legacyHost);
  // What is wrong with the configuration shows before anything runs that would have to be closed.
  const tlsContext = config.tls && secureContext(config.tls);
  const directory = openDirectory(config.dataDir);
  // First, while a fork costs little.
  const syncHelper = startSyncHelper({ logger });
  const writer = createWriter();
  writer.start();
  const flusher = createFlusher({ writer, logger, helper: syncHelper });
  const captured = createCapturedPasswords(directory, logger, {
    isOff: !config.auth.capturePasswords,
  });
  const isTrusted = networkTest(config.auth.trustedNetworks);
  const authenticate = createAuthenticator<LegacyHost, LegacyProof>({
    legacy: hosts,
    prove: (attempt) => prove(attempt, logger),
    isAway: isHostFailure,
    captured,
    isLocal: (user) => directory.account(user)?.stage === "local",
    logger,
  });
  const mirrors = new Map<string, OpenAccount>();
  /** Users whose account is to be opened without writing. */
  const withoutRoom = new Set<string>();

  const open = async (user: string, login: LegacyLogin | undefined): Promise<OpenedMirror<LegacyLogin>> => {
    const name = userNameOf(user);
    const place = {
      user,
      folder: ownFolder(user, name),
      directory,
      writer,
      flusher,
      logger: logger.child({ account: user }),
      isPassing: withoutRoom.delete(user),
      onTrouble: (trouble: Trouble) => {
        if (trouble === "full") withoutRoom.add(user);
        // Not within the work that has met it.
        setImmediate(() => accounts.drop(user).catch(() => undefined));
      },
    };
    const host = login?.legacy ?? legacyFor(hosts, name);
    if (directory.account(user)?.stage !== "local") {
      if (!host) throw new MailError("CANNOT", `no legacy server for ${user}`);
      ensureAccount(user, host.label);
    }
    const { sweepDays } = config.cutover;
    const { confirmAfter, keepDays } = config.deletions;
    const deletions = { confirmAfterMs: confirmAfter * 1_000, keepMs: keepDays * 86_400_000 };
    const opened = await openAccount(place, { host, login, sweepDays, deletions, maildrop: config.pop3 });
    mirrors.set(user, opened.account);
    return {
      ...opened,
      async close() {
        mirrors.delete(user);
        await opened.close();
      },
    };
  };

  /** A full disk turns nobody away whose mail is elsewhere: there is a row at the next opening. */
  const ensureAccount = (user: string, label: string): void => {
    try {
      storing(() => directory.ensureAccount(user, label));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      logger.error({ err: error, account: user }, "the account could not be noted");
    }
  };
  const ownFolder = (user: string, name: UserName): string => {
    const folder = accountDirectory(config.dataDir, name);
    const owner = recordedUser(folder);
    if (owner !== undefined && owner !== user) throw new MailError("CANNOT", `${folder} belongs to ${owner}`);
    return folder;
  };
  const createAccount = async (typed: string, password: Secret): Promise<string> => {
    const name = userNameOf(typed);
    const user = name.canonical;
    const known = directory.account(user);
    if (known && known.stage !== "new") {
      throw new MailError("ALREADYEXISTS", `there is an account ${user}, in stage ${known.stage}`);
    }
    const folder = ownFolder(user, name);
    directory.ensureAccount(user, "local");
    // Of an earlier try that was cut off, maybe with another password.
    for (const hash of directory.passwordHashes(user)) directory.dropPasswordHash(user, hash);
    await captured.keep(user, password);
    const store = await openAccountStore(folder, { writer, flusher, logger, durable: true });
    try {
      beginLocalAccount(store);
    } finally {
      await store.close();
    }
    // Last: an account that was cut off while it was made is made anew.
    moveToStage(directory, folder, user, "local");
    return user;
  };

  const accounts = createAccounts<LegacyLogin>({ open, logger, pop3: config.pop3 });
  const penalties = createPenalties({ isTrusted });
  const sessions = createPlaces(config.limits.sessionsPerUserAndAddress);
  const login: Login = async (attempt) => {
    const proven = await penalties.guard(attempt, () => authenticate(attempt));
    const user = proven.user.canonical;
    const handle = await accounts.attach(user, proven).catch((error) => {
      // Left open, it would lock the old maildrop.
      if (proven.connection?.kind === "pop3") void proven.connection.proven.leave();
      throw error;
    });
    const leave = sessions.take(`${addressBlock(attempt.peer.address)} ${user}`);
    if (!leave) {
      handle.release();
      throw new MailError("LIMIT", "Maximum number of connections from user+IP exceeded");
    }
    try {
      directory.noteLogin(user, new Date());
    } catch (error) {
      // A full disk is no reason to turn anybody away.
      logger.error({ err: error, account: user }, "the login could not be noted");
    }
    const release = (): void => {
      leave();
      handle.release();
    };
    return { ...handle, release };
  };
  const { connections: maxConnections, connectionsPerAddress: maxPerAddress } = config.limits;
  const admit = createAdmission({ maxConnections, maxPerAddress, isTrusted });
  const listeners = createListeners(config, { login, admit, logger, tlsContext });

  const hook = createOperatorHook({ config: config.cutover.hook, directory, logger });
  const sides = createSideChanges({
    config,
    hook,
    directory,
    accounts,
    opened: (name) => mirrors.get(name),
    captured,
    authenticate,
    folderOf: (name) => ownFolder(name, userNameOf(name)),
    logger,
  });

  return {
    directory,
    listen: () => listeners.listen(),
    canonicalName: (user) => userNameOf(user).canonical,
    createAccount,
    openUsers: () => [...mirrors.keys()],
    hasCredentials: (user) => mirrors.get(user)?.hasCredentials() ?? false,
    isPulling: (user) => mirrors.get(user)?.mirror.busy ?? false,
    liveOutcome: (user) => mirrors.get(user)?.outcome(),
    liveTrouble: (user) => mirrors.get(user)?.sources?.imap?.trouble(),
    liveCounters: (user) => {
      const mirror = mirrors.get(user)?.mirror;
      return mirror?.isWholeOpen ? sumProgress(mirror.opened().map(progressOf)) : undefined;
    },
    liveMailboxes: (user) => mirrors.get(user)?.mirror.opened().map(progressOf) ?? [],
    ...sides,
    inspect: (user, work) => accounts.withMirror(userNameOf(user).canonical, undefined, work),
    async close() {
      await listeners.close();
      await hook.close();
      await accounts.close();
      await captured.settled();
      await writer.close();
      await syncHelper?.close();
      directory.close();
    },
  };
}

const createServer = { imap: createImapServer, pop3: createPop3Server } as const;

interface Listeners {
  listen(): Promise<readonly BoundListener[]>;
  close(): Promise<void>;
}

type FrontDoor = Pick<ImapServerOptions, "login" | "admit" | "logger" | "tlsContext">;

function createListeners(config: Config, door: FrontDoor): Listeners {
  const { hostname, allowPlaintextLogin } = config;
  const servers = config.listen.map((entry) => ({
    entry,
    server: createServer[entry.protocol]({
      ...door,
      hostname,
      allowPlaintextLogin,
      tls: entry.tls,
    }),
  }));
  return {
    async listen() {
      const bound: BoundListener[] = [];
      for (const { entry, server } of servers) {
        const { address, port } = await server
          .listen({ host: entry.address, port: entry.port })
          .catch((error) => {
            throw new MailError(
              "CANNOT",
              `listen: ${entry.address} port ${entry.port} cannot be bound (${error.code})`,
              error,
            );
          });
        bound.push({ protocol: entry.protocol, address, port, tls: entry.tls });
      }
      for (const { server } of servers) server.accept();
      return bound;
    },
    close: async () => void (await Promise.all(servers.map(({ server }) => server.close()))),
  };
}

function secureContext({ cert, key }: NonNullable<Config["tls"]>): SecureContext {
  const pem = { cert: readPem("tls.cert", cert), key: readPem("tls.key", key) };
  try {
    return createSecureContext({ ...pem, minVersion: "TLSv1.2" });
  } catch (error) {
    throw new ConfigError(`tls: not a certificate and its key (${(error as Error).message})`);
  }
}
