/**
 * Opens one account's mail: of a legacy server with IMAP (and POP3), of one with POP3 only, or our own. What is
 * opened is closed by whoever called.
 */
import type { OpenedMirror } from "./account/accounts.ts";
import type { LegacyCredentials, ProvenLogin } from "./auth/login.ts";
import { unreachable } from "./errors.ts";
import { createImapSource } from "./legacy/imap-source.ts";
import { createPop3Source, type Pop3Source } from "./legacy/pop3-source.ts";
import type { ImapSource } from "./legacy/source.ts";
import type { LegacyHost, LegacyProof } from "./legacy-host.ts";
import type { Logger } from "./log.ts";
import { keepSource, OtherSource } from "./migration/account-source.ts";
import type { PullOutcome } from "./migration/background-pull.ts";
import { openLocalMirror } from "./migration/local-mirror.ts";
import { type Mirror, openMirror } from "./migration/mirror.ts";
import { openPop3Mirror } from "./migration/pop3-mirror.ts";
import { progressOf, sumProgress } from "./migration/progress.ts";
import { moveToStage } from "./migration/stage.ts";
import { createSweep, type Sweep } from "./migration/straggler-sweep.ts";
import { createSwitchingMirror, type SwitchingMirror } from "./migration/switching-mirror.ts";
import type { Directory } from "./store/directory.ts";
import { openAccountStore } from "./store/open.ts";
import type { AccountStore } from "./store/store.ts";
import { StoreTrouble } from "./store/store-errors.ts";
import type { Writer } from "./store/writer.ts";

export type LegacyLogin = ProvenLogin<LegacyHost, LegacyProof>;

/** The legacy side of an open account. */
export interface LegacySources {
  /** undefined where the old server has POP3 only. */
  readonly imap: ImapSource | undefined;
  readonly pop3: Pop3Source | undefined;
}

export interface OpenAccount {
  readonly mirror: Mirror;
  readonly switching: SwitchingMirror;
  readonly sources: LegacySources;
  /** For what comes to the legacy server after the cutover. */
  readonly sweep: () => Sweep | undefined;
  readonly hasCredentials: () => boolean;
  /** How the last pull ended, for people; undefined while none has. A full disk cannot keep it elsewhere. */
  readonly outcome: () => { readonly problem: string | undefined } | undefined;
}

export interface AccountPlace {
  readonly user: string;
  /** The account's folder. */
  readonly folder: string;
  readonly directory: Directory;
  readonly writer: Writer;
  readonly logger: Logger;
}

export interface LegacyAccountOptions {
  readonly host: LegacyHost;
  readonly sweepDays: number;
  readonly login: LegacyLogin | undefined;
  readonly maildrop: { readonly mailboxes: "inbox" | "all"; readonly onUnmatched: "passthrough" | "refuse" };
}

export interface OpenedLegacyAccount extends OpenedMirror<LegacyLogin> {
  readonly account: OpenAccount;
}

export async function openLegacyAccount(
  place: AccountPlace,
  { host, login, maildrop, sweepDays }: LegacyAccountOptions,
): Promise<OpenedLegacyAccount> {
  const { user, folder, directory, writer, logger } = place;
  let credentials: LegacyCredentials | undefined = login?.credentials;
  const common = { credentials: () => credentials, user };
  const { imap, pop3 } = host;
  const imapSource =
    imap && createImapSource({ ...common, logger, config: imap.target, budget: imap.budget });
  const sources = {
    imap: imapSource,
    pop3:
      pop3 &&
      createPop3Source({ ...common, config: pop3.target, budget: pop3.budget, aside: imapSource?.aside }),
  };
  const adopt = (proof: LegacyProof | undefined): void => {
    if (proof?.kind === "imap") sources.imap?.adopt(proof.connection);
    if (proof?.kind === "pop3") sources.pop3?.adopt(proof.proven);
  };
  adopt(login?.connection);
  // What is here of an account with POP3 only has no other home: flags, and mailboxes but INBOX.
  const store = await openAccountStore(folder, { writer, logger, durable: imap === undefined }).catch(
    async (error) => {
      await closeSources(sources);
      throw error;
    },
  );
  let last: { readonly problem: string | undefined } | undefined;
  const onOutcome = (outcome: PullOutcome): void => {
    // One that has ended after the cutover.
    if (directory.account(user)?.stage === "local") return;
    last = { problem: describeProblem(outcome) };
    directory.noteError(user, last.problem);
    if (outcome.kind !== "failed") {
      moveToStage(directory, folder, user, outcome.kind === "complete" ? "complete" : "mirroring");
    }
  };
  const open = async (): Promise<Mirror> => {
    const source = sources.pop3;
    keepSource(store, imap ? "imap" : "pop3");
    if (directory.account(user)?.stage === "new") moveToStage(directory, folder, user, "mirroring");
    if (sources.imap) {
      const pop3Side = source && { ...maildrop, source };
      return openMirror({ store, source: sources.imap, pop3: pop3Side, logger, onOutcome });
    }
    if (!source) throw new Error("a legacy server has IMAP, POP3 or both");
    return openPop3Mirror({ store, source, logger, onOutcome });
  };
  const opened = await open().catch(async (error) => {
    await closeSources(sources);
    await store.close();
    if (error instanceof OtherSource) directory.noteError(user, error.problem);
    throw error;
  });
  const switching = createSwitchingMirror(opened);
  const { mirror } = switching;
  return {
    mirror,
    account: {
      mirror,
      switching,
      sources,
      sweep: () => openSweep(place, { host, days: sweepDays, store, credentials: () => credentials }),
      hasCredentials: () => credentials !== undefined,
      outcome: () => last,
    },
    close: () => closeMirror(place, mirror),
    renew: (renewed) => {
      credentials = renewed.credentials;
      adopt(renewed.connection);
    },
  };
}

export interface LocalAccountOptions {
  /** That the account came from, if any. */
  readonly host: LegacyHost | undefined;
  readonly sweepDays: number;
  readonly login: LegacyLogin | undefined;
}

export async function openLocalAccount(
  place: AccountPlace,
  { host, sweepDays, login }: LocalAccountOptions,
): Promise<OpenedMirror<LegacyLogin>> {
  const { folder, writer, logger } = place;
  let credentials = login?.credentials;
  const store = await openAccountStore(folder, { writer, logger, durable: true });
  const sweep = host && openSweep(place, { host, days: sweepDays, store, credentials: () => credentials });
  const mirror = await openLocalMirror({ store, logger, sweep }).catch(async (error) => {
    await sweep?.close();
    await store.close();
    throw error;
  });
  const renew = (renewed: LegacyLogin): void => {
    credentials = renewed.credentials;
  };
  return { mirror, renew, close: () => closeMirror(place, mirror) };
}

interface SweepRequest {
  readonly host: LegacyHost;
  readonly days: number;
  readonly store: AccountStore;
  readonly credentials: () => LegacyCredentials | undefined;
}

function openSweep(
  { user, logger }: AccountPlace,
  { host: { imap }, days, store, credentials }: SweepRequest,
): Sweep | undefined {
  if (!imap || days === 0) return undefined;
  const source = createImapSource({ config: imap.target, budget: imap.budget, credentials, logger, user });
  return createSweep({ store, source, logger, days });
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
