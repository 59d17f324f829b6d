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
import { legacyFor, parseUserName, type UserName } from "./auth/user-name.ts";
import type { Config } from "./config.ts";
import { ConfigError, MailError } from "./errors.ts";
import { createImapServer, type ImapServerOptions } from "./imap/server.ts";
import { type LegacyHost, type LegacyProof, legacyHost, prove } from "./legacy-host.ts";
import type { Logger } from "./log.ts";
import type { Secret } from "./mail/secret.ts";
import { type CutoverOptions, type CutoverReport, cutOver } from "./migration/cutover.ts";
import { cutOverAt } from "./migration/cutover-marks.ts";
import { type HandoverReport, handOver } from "./migration/handover.ts";
import { beginLocalAccount } from "./migration/local-mirror.ts";
import type { Mirror } from "./migration/mirror.ts";
import { type MailboxProgress, progressOf, sumProgress } from "./migration/progress.ts";
import { noWayBack, type RollbackReport, rollBack } from "./migration/rollback.ts";
import { moveToStage } from "./migration/stage.ts";
import { type LegacyLogin, type LegacySources, type OpenAccount, openAccount } from "./open-account.ts";
import { createPop3Server } from "./pop3/server.ts";
import { readPem } from "./read-pem.ts";
import { recordedUser } from "./store/account-record.ts";
import { accountDirectory } from "./store/data-dir.ts";
import { type AccountCounters, type Directory, openDirectory } from "./store/directory.ts";
import { openAccountStore } from "./store/open.ts";
import { createWriter } from "./store/writer.ts";

export interface BoundListener {
  readonly protocol: "imap" | "pop3";
  readonly address: string;
  readonly port: number;
  readonly tls: "none" | "starttls" | "implicit";
}

export interface Mailferry {
  readonly directory: Directory;
  /** Binds all listeners, then lets them accept. */
  listen(): Promise<readonly BoundListener[]>;
  canonicalName(user: string): string;
  /** Makes an empty account in stage `local`; gives its canonical name. Throws ALREADYEXISTS. */
  createAccount(user: string, password: Secret): Promise<string>;
  isPulling(user: string): boolean;
  /** How the last pull of an open account ended, for people. */
  liveOutcome(user: string): { readonly problem: string | undefined } | undefined;
  /** Why the old server has not given a connection in the last minute. */
  liveTrouble(user: string): string | undefined;
  /** How far an open account has come; undefined when it is not open. */
  liveCounters(user: string): AccountCounters | undefined;
  /** The same by mailbox, of those that were opened so far; none when the account is not open. */
  liveMailboxes(user: string): readonly MailboxProgress[];
  /**
   * Runs a job that needs the legacy side: with `password`, which is proven first, or with what the open
   * account has. Throws CANNOT when there is neither.
   */
  withMirror<T>(
    user: string,
    password: Secret | undefined,
    signal: AbortSignal,
    work: (user: string, mirror: Mirror, sources: LegacySources) => Promise<T>,
  ): Promise<T>;
  /** The last word on the account passes to Mailferry. Throws CANNOT with what stands against it. */
  cutOver(user: string, request: CutoverRequest): Promise<CutoverReport & { readonly wasLocal?: boolean }>;
  /** The legacy server gets back what has changed here, and the last word. Throws CANNOT with what stands against it. */
  rollBack(user: string, request: RollbackRequest): Promise<RollbackReport | undefined>;
  /** Makes the Maildir of a local account ready for Dovecot. Throws CANNOT for another. */
  handOver(user: string, signal: AbortSignal): Promise<HandoverReport>;
  /** Runs a job on what is here. */
  inspect<T>(user: string, work: (mirror: Mirror) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface CutoverRequest extends Pick<CutoverOptions, "signal" | "dryRun"> {
  readonly password: Secret | undefined;
  readonly verify: (mirror: Mirror, sources: LegacySources) => ReturnType<CutoverOptions["verify"]>;
}

export interface RollbackRequest {
  readonly password: Secret | undefined;
  readonly signal: AbortSignal;
}

export async function createMailferry(config: Config, logger: Logger): Promise<Mailferry> {
  const hosts = config.legacy.map(legacyHost);
  const directory = openDirectory(config.dataDir);
  const writer = createWriter();
  writer.start();
  const captured = createCapturedPasswords(directory, logger, {
    isOff: !config.auth.capturePasswords,
  });
  const isTrusted = networkTest(config.auth.trustedNetworks);
  const authenticate = createAuthenticator<LegacyHost, LegacyProof>({
    legacy: hosts,
    prove: (attempt) => prove(attempt, logger),
    captured,
    isLocal: (user) => directory.account(user)?.stage === "local",
    logger,
  });
  const mirrors = new Map<string, OpenAccount>();

  const open = async (user: string, login: LegacyLogin | undefined): Promise<OpenedMirror<LegacyLogin>> => {
    const name = canonical(user);
    const place = {
      user,
      folder: ownFolder(user, name),
      directory,
      writer,
      logger: logger.child({ account: user }),
    };
    const host = login?.legacy ?? legacyFor(hosts, name);
    if (directory.account(user)?.stage !== "local") {
      if (!host) throw new MailError("CANNOT", `no legacy server for ${user}`);
      directory.ensureAccount(user, host.label);
    }
    const { sweepDays } = config.cutover;
    const opened = await openAccount(place, { host, login, sweepDays, maildrop: config.pop3 });
    mirrors.set(user, opened.account);
    return {
      ...opened,
      async close() {
        mirrors.delete(user);
        await opened.close();
      },
    };
  };

  const ownFolder = (user: string, name: UserName): string => {
    const folder = accountDirectory(config.dataDir, name);
    const owner = recordedUser(folder);
    if (owner !== undefined && owner !== user) throw new MailError("CANNOT", `${folder} belongs to ${owner}`);
    return folder;
  };
  const createAccount = async (typed: string, password: Secret): Promise<string> => {
    const name = canonical(typed);
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
    const store = await openAccountStore(folder, { writer, logger, durable: true });
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
  const listeners = createListeners(config, { login, admit, logger });

  const withMirror: Mailferry["withMirror"] = async (user, password, signal, work) => {
    const name = canonical(user).canonical;
    if (directory.account(name)?.stage === "local") {
      throw new MailError("CANNOT", `${name} is Mailferry's own: there is no legacy server to compare with`);
    }
    const proven = password && (await authenticate({ user, password, authorizationId: "", signal }));
    if (!proven && !mirrors.get(name)?.hasCredentials()) {
      throw unknownPassword(name);
    }
    return accounts.withMirror(name, proven, (mirror) => {
      const sources = mirrors.get(name)?.sources;
      if (!sources) throw new Error("an open account has a legacy side");
      return work(name, mirror, sources);
    });
  };

  const rollBackAccount = async (name: string, signal: AbortSignal): Promise<RollbackReport> => {
    const account = mirrors.get(name);
    if (!account) throw new Error("an open account is known");
    if (cutOverAt(account.mirror.store) === undefined) throw noWayBack(name);
    if (!account.hasCredentials()) throw unknownPassword(name);
    const source = account.joinLegacy()?.imap;
    if (!source) throw noWayBack(name);
    const isCommitted = (): boolean => directory.account(name)?.stage !== "local";
    try {
      return await rollBack({
        signal,
        source,
        switching: account.switching,
        endSweep: account.endSweep,
        openLegacy: account.openLegacy,
        commit: () => moveToStage(directory, ownFolder(name, canonical(name)), name, "mirroring"),
        isCommitted,
        onBroken: () => void accounts.drop(name),
        logger: logger.child({ account: name }),
      });
    } finally {
      if (!isCommitted()) await account.leaveLegacy();
    }
  };

  const changingSides = new Set<string>();
  const alone = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    if (changingSides.has(name))
      throw new MailError("INUSE", `${name} is being cut over, rolled back or handed over`);
    changingSides.add(name);
    try {
      return await work();
    } finally {
      changingSides.delete(name);
    }
  };
  const cutOverAccount = async (
    name: string,
    mirror: Mirror,
    sources: LegacySources,
    { signal, dryRun, verify }: CutoverRequest,
  ): Promise<CutoverReport> => {
    const account = mirrors.get(name);
    if (!account) throw new Error("an open account has a legacy side");
    // From then on nobody else can be asked.
    await captured.noted();
    if (directory.passwordHashes(name).length === 0)
      throw new MailError("CANNOT", `no password of ${name} is known here: nobody could log in`);
    return cutOver({
      signal,
      dryRun,
      switching: account.switching,
      imap: sources.imap,
      openLocal: account.openLocal,
      verify: () => verify(mirror, sources),
      isRelaying: () => accounts.isRelaying(name),
      commit: () => moveToStage(directory, ownFolder(name, canonical(name)), name, "local"),
      isCommitted: () => directory.account(name)?.stage === "local",
      onBroken: () => void accounts.drop(name),
      logger: logger.child({ account: name }),
    });
  };

  return {
    directory,
    listen: () => listeners.listen(),
    canonicalName: (user) => canonical(user).canonical,
    createAccount,
    isPulling: (user) => mirrors.get(user)?.mirror.busy ?? false,
    liveOutcome: (user) => mirrors.get(user)?.outcome(),
    liveTrouble: (user) => mirrors.get(user)?.sources?.imap?.trouble(),
    liveCounters: (user) => {
      const mirror = mirrors.get(user)?.mirror;
      return mirror?.isWholeOpen ? sumProgress(mirror.opened().map(progressOf)) : undefined;
    },
    liveMailboxes: (user) => mirrors.get(user)?.mirror.opened().map(progressOf) ?? [],
    withMirror,
    async cutOver(user, request) {
      const name = canonical(user).canonical;
      if (directory.account(name)?.stage === "local") return { heldMs: undefined, wasLocal: true };
      if (!config.auth.capturePasswords)
        throw new MailError("CANNOT", "auth.capturePasswords is off: nobody could log in after a cutover");
      return alone(name, () =>
        withMirror(name, request.password, request.signal, (_, mirror, sources) =>
          cutOverAccount(name, mirror, sources, request),
        ),
      );
    },
    async rollBack(user, { password, signal }) {
      const name = canonical(user).canonical;
      const stage = directory.account(name)?.stage;
      if (stage === undefined) throw new MailError("NONEXISTENT", `no account ${name}`);
      if (stage !== "local") return undefined;
      const proven = password && (await authenticate({ user, password, authorizationId: "", signal }));
      return alone(name, () => accounts.withMirror(name, proven, () => rollBackAccount(name, signal)));
    },
    async handOver(typed, signal) {
      const user = canonical(typed).canonical;
      const stage = directory.account(user)?.stage;
      if (stage === undefined) throw new MailError("NONEXISTENT", `no account ${user}`);
      if (stage !== "local")
        throw new MailError(
          "CANNOT",
          `${user} is not Mailferry's own, but in stage ${stage}: cutover --help`,
        );
      const { uidlFormat } = config.pop3;
      return alone(user, () =>
        accounts.withMirror(user, undefined, (mirror) => handOver({ user, mirror, uidlFormat, signal })),
      );
    },
    inspect: (user, work) => accounts.withMirror(canonical(user).canonical, undefined, work),
    async close() {
      await listeners.close();
      await accounts.close();
      await captured.settled();
      await writer.close();
      directory.close();
    },
  };
}

/** What a name that has been typed leads to. Throws CANNOT for one that no account can have. */
function canonical(typed: string): UserName {
  const user = parseUserName(typed);
  if (!user) throw new MailError("CANNOT", "not a user name");
  return user;
}

/** To the legacy server only a password that is known in clear opens. */
function unknownPassword(name: string): MailError {
  return new MailError("CANNOT", `nobody is logged in as ${name}: give the password by --password-file`);
}

const createServer = { imap: createImapServer, pop3: createPop3Server } as const;

interface Listeners {
  listen(): Promise<readonly BoundListener[]>;
  close(): Promise<void>;
}

type FrontDoor = Pick<ImapServerOptions, "login" | "admit" | "logger">;

function createListeners(config: Config, door: FrontDoor): Listeners {
  const { hostname, allowPlaintextLogin } = config;
  const tlsContext = config.tls && secureContext(config.tls);
  const servers = config.listen.map((entry) => ({
    entry,
    server: createServer[entry.protocol]({
      ...door,
      hostname,
      allowPlaintextLogin,
      tls: entry.tls,
      tlsContext,
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
