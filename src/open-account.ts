/**
 * Opens one account's mail: of a legacy server with IMAP (and POP3), of one with POP3 only, or our own. What is
 * opened is closed by whoever called.
 */
import type { OpenedMirror } from "./account/accounts.ts";
import type { LegacyCredentials, ProvenLogin } from "./auth/login.ts";
import { MailError, unreachable } from "./errors.ts";
import { createImapSource, type ImapConnectionPool } from "./legacy/imap-source.ts";
import { createPop3Source, type Pop3Source } from "./legacy/pop3-source.ts";
import type { LegacyHost, LegacyProof } from "./legacy-host.ts";
import type { Logger } from "./log.ts";
import { fedBy, keepSource, OtherSource } from "./migration/account-source.ts";
import type { PullOutcome } from "./migration/background-pull.ts";
import type { DeletionRules } from "./migration/follow-names.ts";
import type { OpenStates } from "./migration/hold.ts";
import { openLocalMirror } from "./migration/local-mirror.ts";
import { type Mirror, openMirror } from "./migration/mirror.ts";
import { openPop3Mirror } from "./migration/pop3-mirror.ts";
import { markRemovedFrom, pop3Look } from "./migration/pop3-sweep.ts";
import { progressOf, sumProgress } from "./migration/progress.ts";
import { shownValidities } from "./migration/shown-validities.ts";
import { moveToStage } from "./migration/stage.ts";
import { createSweep, imapLook, type Sweep } from "./migration/straggler-sweep.ts";
import { createSwitchingMirror, type SwitchingMirror } from "./migration/switching-mirror.ts";
import type { Directory } from "./store/directory.ts";
import type { Flusher } from "./store/flusher.ts";
import { openAccountStore } from "./store/open.ts";
import type { AccountStore } from "./store/store.ts";
import { StoreTrouble } from "./store/store-errors.ts";
import type { Trouble } from "./store/watch-damage.ts";
import type { Writer } from "./store/writer.ts";

export type LegacyLogin = ProvenLogin<LegacyHost, LegacyProof>;

/** The legacy side of an open account. */
export interface LegacySources {
  /** undefined where the old server has POP3 only. */
  readonly imap: ImapConnectionPool | undefined;
  readonly pop3: Pop3Source | undefined;
}

export interface OpenAccount {
  readonly mirror: Mirror;
  readonly switching: SwitchingMirror;
  /** Of the legacy server while it is asked; undefined in a local account. */
  readonly sources: LegacySources | undefined;
  readonly hasCredentials: () => boolean;
  /** How the last pull ended, for people; undefined while none has. A full disk cannot keep it elsewhere. */
  readonly outcome: () => { readonly problem: string | undefined } | undefined;
  /** For a cutover: our own mirror, on mailboxes that are open. */
  readonly openLocal: (states: OpenStates) => Promise<Mirror>;
  /** For a rollback; undefined where the account came from nowhere. Closed by `leaveLegacy`, or with the mirror. */
  readonly joinLegacy: () => LegacySources | undefined;
  readonly leaveLegacy: () => Promise<void>;
  /** The mirror of a legacy server that was joined, on mailboxes that are open. */
  readonly openLegacy: (states: OpenStates) => Promise<Mirror>;
  /** Nothing more is brought over, until the legacy server is left. */
  readonly restSweep: () => Promise<void>;
}

export interface AccountPlace {
  readonly user: string;
  /** The account's folder. */
  readonly folder: string;
  readonly directory: Directory;
  readonly writer: Writer;
  readonly flusher: Flusher;
  readonly logger: Logger;
  /** The store cannot go on: the account has to be opened anew. */
  readonly onTrouble: (trouble: Trouble) => void;
  /** Nothing is written: the disk takes nothing. */
  readonly isPassing: boolean;
}

export interface AccountOptions {
  /** That the account's mail is on, or came from; undefined where it was made here. */
  readonly host: LegacyHost | undefined;
  readonly sweepDays: number;
  readonly deletions: DeletionRules;
  readonly login: LegacyLogin | undefined;
  readonly maildrop: { readonly mailboxes: "inbox" | "all"; readonly onUnmatched: "passthrough" | "refuse" };
}

export interface OpenedAccount extends OpenedMirror<LegacyLogin> {
  readonly account: OpenAccount;
}

/** As its stage has it. */
export async function openAccount(place: AccountPlace, options: AccountOptions): Promise<OpenedAccount> {
  const { user, folder, directory, writer, flusher, logger, onTrouble, isPassing } = place;
  const { host, login, maildrop, sweepDays, deletions } = options;
  let credentials: LegacyCredentials | undefined = login?.credentials;
  let sources: LegacySources | undefined;
  let sweep: Sweep | undefined;
  const isLocal = (): boolean => directory.account(user)?.stage === "local";
  const open = (): LegacySources | undefined => {
    sources ??= host && openSources(place, host, () => credentials);
    return sources;
  };
  const adopt = (proof: LegacyProof | undefined): void => {
    if (proof?.kind === "imap") {
      if (sources?.imap) sources.imap.adopt(proof.connection);
      else if (proof.connection.take()) void proof.connection.connection.logout();
    }
    if (proof?.kind === "pop3") {
      if (sources?.pop3) sources.pop3.adopt(proof.proven);
      // Proven while the account was cut over: left open, it would lock the old maildrop.
      else void proof.proven.leave();
    }
  };
  if (!isLocal()) open();
  adopt(login?.connection);
  /** For a local account: its mirror tells by itself what it shows. */
  const joinLegacy = (): LegacySources | undefined => {
    const joined = open();
    joined?.imap?.showAs(shownValidities(store).sinceCutover);
    return joined;
  };
  const leaveLegacy = async (): Promise<void> => {
    const left = sources;
    sources = undefined;
    sweep?.resume();
    if (left) await closeSources(left);
  };
  // What is here of an account with POP3 only has no other home: flags, and mailboxes but INBOX.
  const durable = isLocal() || host?.imap === undefined;
  const store = await openAccountStore(folder, {
    ...{ writer, flusher, logger, durable, onTrouble, isPassing: isPassing && !durable },
    mustExist: isLocal(),
  }).catch(async (error) => {
    await leaveLegacy();
    throw error;
  });
  let last: { readonly problem: string | undefined } | undefined;
  const onOutcome = (outcome: PullOutcome): void => {
    // One that has ended after the cutover.
    if (isLocal()) return;
    last = { problem: describeProblem(outcome) };
    if (store.isPassing) return;
    directory.noteError(user, last.problem);
    if (outcome.kind !== "failed") {
      moveToStage(directory, folder, user, outcome.kind === "complete" ? "complete" : "mirroring");
    }
  };
  const openLegacy = async (states?: OpenStates): Promise<Mirror> => {
    if (!sources) throw new MailError("CANNOT", `no legacy server for ${user}`);
    keepSource(store, sources.imap ? "imap" : "pop3");
    if (!store.isPassing && directory.account(user)?.stage === "new")
      moveToStage(directory, folder, user, "mirroring");
    const { imap, pop3 } = sources;
    imap?.showAs(shownValidities(store).of);
    const common = { store, logger, onOutcome };
    const clientsWaitMs = host?.patienceMs;
    if (imap)
      return openMirror({
        ...common,
        deletions,
        source: imap,
        pop3: pop3 && { ...maildrop, clientsWaitMs, source: pop3 },
        states,
      });
    if (!pop3) throw new Error("a legacy server has IMAP, POP3 or both");
    return openPop3Mirror({ ...common, deletions, clientsWaitMs, source: pop3, states });
  };
  const openLocal = async (states?: OpenStates): Promise<Mirror> => {
    sources = undefined;
    sweep = host && openSweep(place, { host, days: sweepDays, store, credentials: () => credentials });
    const onRemoving = fedBy(store) === "pop3" ? markRemovedFrom(store) : undefined;
    return openLocalMirror({ store, logger, sweep, states, onRemoving });
  };
  const opened = await (isLocal() ? openLocal() : openLegacy()).catch(async (error) => {
    await sweep?.close();
    await leaveLegacy();
    await store.close();
    if (error instanceof OtherSource) directory.noteError(user, error.problem);
    throw error;
  });
  // Nobody waits for it.
  store
    .removeSetAside(deletions.keepMs)
    .catch((error: unknown) => logger.warn({ err: error }, "files that were set aside are still there"));
  const switching = createSwitchingMirror(opened);
  const { mirror } = switching;
  return {
    mirror,
    patienceMs: host?.patienceMs,
    account: {
      mirror,
      switching,
      get sources() {
        return sources;
      },
      hasCredentials: () => credentials !== undefined,
      outcome: () => last,
      openLocal,
      joinLegacy,
      leaveLegacy,
      openLegacy,
      restSweep: async () => sweep?.rest(),
    },
    close: () => closeMirror(place, mirror),
    renew: (renewed) => {
      credentials = renewed.credentials;
      adopt(renewed.connection);
    },
  };
}

function openSources(
  { user, logger }: AccountPlace,
  { imap, pop3 }: LegacyHost,
  credentials: () => LegacyCredentials | undefined,
): LegacySources {
  const common = { credentials, user };
  const imapSource =
    imap && createImapSource({ ...common, logger, config: imap.target, budget: imap.budget });
  return {
    imap: imapSource,
    pop3:
      pop3 &&
      createPop3Source({ ...common, config: pop3.target, budget: pop3.budget, aside: imapSource?.aside }),
  };
}

interface SweepRequest {
  readonly host: LegacyHost;
  readonly days: number;
  readonly store: AccountStore;
  readonly credentials: () => LegacyCredentials | undefined;
}

function openSweep(
  { user, logger }: AccountPlace,
  { host: { imap, pop3 }, days, store, credentials }: SweepRequest,
): Sweep | undefined {
  if (days === 0) return undefined;
  const common = { store, logger, days };
  if (imap) {
    const source = createImapSource({ config: imap.target, budget: imap.budget, credentials, logger, user });
    source.showAs(shownValidities(store).sinceCutover);
    return createSweep({ ...common, source, look: imapLook({ store, source, logger }) });
  }
  // Of one that IMAP has fed, the maildrop's rows do not tell what is here.
  if (!pop3 || fedBy(store) !== "pop3") return undefined;
  const source = createPop3Source({ config: pop3.target, budget: pop3.budget, credentials, user });
  return createSweep({ ...common, source, look: pop3Look({ store, source }) });
}

async function closeSources({ imap, pop3 }: LegacySources): Promise<void> {
  await Promise.all([imap?.close(), pop3?.close()]);
}

async function closeMirror({ user, directory, logger }: AccountPlace, mirror: Mirror): Promise<void> {
  try {
    directory.noteCounters(user, sumProgress((await mirror.all()).map(progressOf)));
  } catch (error) {
    logger.error({ err: error }, "the counters of the account could not be kept");
  } finally {
    await mirror.close();
  }
}

/** A refusal of the disk with its own words: `ENOSPC: no space left on device, write`. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error instanceof StoreTrouble && error.cause instanceof Error
    ? `${error.message} (${error.cause.message})`
    : error.message;
}

function describeProblem(outcome: PullOutcome): string | undefined {
  switch (outcome.kind) {
    case "complete":
      return undefined;
    case "incomplete":
      return `${outcome.problems.length} problems, the first: ${outcome.problems[0]}`;
    case "failed":
      return `interrupted, and tried again: ${describeError(outcome.error)}`;
    default:
      return unreachable(outcome);
  }
}
