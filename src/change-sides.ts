/**
 * What moves an account from one side to the other, and what needs both: one at a time for each account.
 */
import type { Accounts } from "./account/accounts.ts";
import type { CapturedPasswords } from "./auth/captured-passwords.ts";
import type { LoginAttempt } from "./auth/login.ts";
import { userNameOf } from "./auth/user-name.ts";
import type { Config } from "./config.ts";
import { MailError } from "./errors.ts";
import type { Logger } from "./log.ts";
import type { Secret } from "./mail/secret.ts";
import { type CutoverOptions, type CutoverReport, cutOver } from "./migration/cutover.ts";
import { cutOverAt, isRollingBack } from "./migration/cutover-marks.ts";
import { type HandoverReport, handOver } from "./migration/handover.ts";
import type { Mirror } from "./migration/mirror.ts";
import { noWayBack, type RollbackReport, rollBack } from "./migration/rollback.ts";
import { moveToStage } from "./migration/stage.ts";
import type { LegacyLogin, LegacySources, OpenAccount } from "./open-account.ts";
import type { OperatorHook } from "./operator-hook.ts";
import type { Directory } from "./store/directory.ts";

export interface SideChanges {
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
  cutOver(user: string, request: CutoverRequest): Promise<CutoverOutcome>;
  /** The legacy server gets back what has changed here, and the last word. Throws CANNOT with what stands against it. */
  rollBack(user: string, request: RollbackRequest): Promise<RollbackOutcome | undefined>;
  /** Makes the Maildir of a local account ready for Dovecot. Throws CANNOT for another. */
  handOver(user: string, signal: AbortSignal): Promise<HandoverReport>;
}

export interface CutoverRequest extends Pick<CutoverOptions, "signal" | "dryRun"> {
  readonly password: Secret | undefined;
  readonly verify: (mirror: Mirror, sources: LegacySources) => ReturnType<CutoverOptions["verify"]>;
}

export interface CutoverOutcome extends CutoverReport, HookOutcome {
  readonly wasLocal?: boolean;
}

export interface RollbackOutcome extends RollbackReport, HookOutcome {}

export interface HookOutcome {
  /** What the operator's hook did not take in, for people. */
  readonly hookProblem?: string | undefined;
}

export interface RollbackRequest {
  readonly password: Secret | undefined;
  readonly signal: AbortSignal;
}

export interface SideChangeParts {
  readonly config: Pick<Config, "auth" | "pop3">;
  readonly hook: OperatorHook;
  readonly directory: Directory;
  readonly accounts: Accounts<LegacyLogin>;
  /** An account that is open. */
  readonly opened: (user: string) => OpenAccount | undefined;
  readonly captured: CapturedPasswords;
  readonly authenticate: (attempt: LoginAttempt) => Promise<LegacyLogin>;
  /** The account's folder. */
  readonly folderOf: (user: string) => string;
  readonly logger: Logger;
}

export function createSideChanges(parts: SideChangeParts): SideChanges {
  const { config, hook, directory, accounts, opened, captured, authenticate, folderOf, logger } = parts;

  const withMirror: SideChanges["withMirror"] = async (user, password, signal, work) => {
    const name = userNameOf(user).canonical;
    if (directory.account(name)?.stage === "local") {
      throw new MailError("CANNOT", `${name} is Mailferry's own: there is no legacy server to compare with`);
    }
    const proven = password && (await authenticate({ user, password, authorizationId: "", signal }));
    if (!proven && !opened(name)?.hasCredentials()) {
      throw unknownPassword(name);
    }
    return accounts.withMirror(name, proven, (mirror) => {
      const sources = opened(name)?.sources;
      if (!sources) throw new Error("an open account has a legacy side");
      return work(name, mirror, sources);
    });
  };

  const rollBackAccount = async (name: string, signal: AbortSignal): Promise<RollbackOutcome> => {
    const account = opened(name);
    if (!account) throw new Error("an open account is known");
    if (cutOverAt(account.mirror.store) === undefined) throw noWayBack(name);
    if (!account.hasCredentials()) throw unknownPassword(name);
    const isCommitted = (): boolean => directory.account(name)?.stage !== "local";
    const sources = account.joinLegacy();
    try {
      if (!sources) throw noWayBack(name);
      await hook.before("rollback", name, signal);
      const report = await rollBack({
        signal,
        source: sources.imap,
        hasPop3: sources.pop3 !== undefined,
        probe: (waiting) => probe(sources, waiting),
        switching: account.switching,
        restSweep: account.restSweep,
        openLegacy: account.openLegacy,
        commit() {
          directory.noteError(name, undefined);
          hook.due("rollback", name);
          moveToStage(directory, folderOf(name), name, "mirroring");
        },
        isCommitted,
        onBroken: () => void accounts.drop(name),
        logger: logger.child({ account: name }),
      });
      return { ...report, hookProblem: await hook.after("rollback", name, { heldMs: report.heldMs }) };
    } catch (error) {
      if (isCommitted()) await hook.after("rollback", name);
      else if (isRollingBack(account.mirror.store))
        directory.noteError(name, `a rollback has not ended, and is to be run again: ${describe(error)}`);
      await account.leaveLegacy();
      throw error;
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
  ): Promise<CutoverOutcome> => {
    const account = opened(name);
    if (!account) throw new Error("an open account has a legacy side");
    // From then on nobody else can be asked.
    await captured.noted();
    if (directory.passwordHashes(name).length === 0)
      throw new MailError("CANNOT", `no password of ${name} is known here: nobody could log in`);
    const isCommitted = (): boolean => directory.account(name)?.stage === "local";
    const report = await cutOver({
      signal,
      dryRun,
      switching: account.switching,
      imap: sources.imap,
      openLocal: account.openLocal,
      async verify() {
        const verdict = await verify(mirror, sources);
        if (!dryRun) await hook.before("cutover", name, signal);
        return verdict;
      },
      isRelaying: () => accounts.isRelaying(name),
      commit() {
        directory.noteError(name, undefined);
        hook.due("cutover", name);
        moveToStage(directory, folderOf(name), name, "local");
      },
      isCommitted,
      onBroken: () => void accounts.drop(name),
      logger: logger.child({ account: name }),
    }).catch(async (error: unknown) => {
      if (isCommitted()) await hook.after("cutover", name);
      throw error;
    });
    if (dryRun) return report;
    return { ...report, hookProblem: await hook.after("cutover", name, { heldMs: report.heldMs }) };
  };

  return {
    withMirror,
    async cutOver(user, request) {
      const name = userNameOf(user).canonical;
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
      const name = userNameOf(user).canonical;
      const stage = directory.account(name)?.stage;
      if (stage === undefined) throw new MailError("NONEXISTENT", `no account ${name}`);
      if (stage !== "local") return undefined;
      const proven = password && (await authenticate({ user, password, authorizationId: "", signal }));
      return alone(name, () => accounts.withMirror(name, proven, () => rollBackAccount(name, signal)));
    },
    async handOver(typed, signal) {
      const user = userNameOf(typed).canonical;
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
  };
}

async function probe({ imap, pop3 }: LegacySources, signal: AbortSignal): Promise<void> {
  if (imap) await imap.use({ priority: "interactive", signal }, async () => undefined);
  else await pop3?.inBackground(signal, async () => undefined);
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** To the legacy server only a password that is known in clear opens. */
function unknownPassword(name: string): MailError {
  return new MailError("CANNOT", `nobody is logged in as ${name}: give the password by --password-file`);
}
