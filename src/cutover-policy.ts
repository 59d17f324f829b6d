/**
 * Cutovers without a command: an account that is complete is compared with its legacy server in the background, and
 * when both sides have been equal for so many days, it is cut over within the operator's hours. The server needs its
 * user's password for that, so it is done while he is logged in, or was a moment ago.
 *
 * What always holds
 * - One account at a time, and of those that may go on, a cutover comes before a comparison.
 * - What was found is in directory.db before the next account is looked at. After a failure the account is left alone
 *   for an hour.
 * - A difference begins the days anew; a legacy server that could not be asked does not.
 * - An account that was rolled back is cut over by command only.
 */
import { type DailyHours, untilEnd } from "./daily-hours.ts";
import { MailError, unreachable } from "./errors.ts";
import type { Logger } from "./log.ts";
import type { Mailferry } from "./server.ts";
import type { CutoverNote } from "./store/cutover-notes.ts";
import { differencesOf, firstVerdict, verifyAccount } from "./verify-account.ts";
import { anyOf, breathe, pause } from "./waiting.ts";

export interface CutoverPolicyConfig {
  readonly auto: boolean;
  readonly afterVerifiedDays: number;
  readonly hours: DailyHours;
}

export interface CutoverPolicyOptions {
  readonly config: CutoverPolicyConfig;
  readonly mailferry: Pick<
    Mailferry,
    "directory" | "openUsers" | "hasCredentials" | "withMirror" | "cutOver"
  >;
  readonly logger: Logger;
  readonly now?: () => Date;
  /** How often it looks for accounts, in milliseconds. */
  readonly lookMs?: number;
}

export interface CutoverPolicy {
  /** Nothing is begun any more, and what is under way is given up. */
  stop(): void;
  /** Resolves when nothing is under way any more. */
  readonly ended: Promise<void>;
}

/** `undefined`: nothing is to be done now. */
export type PolicyStep = "verify" | "cut over" | undefined;

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;
/** What has failed is tried again after so long. */
const retryMs = hourMs;
/** While the days pass, both sides are compared so often, with the bytes of so many percent of the messages. */
const compareEveryMs = dayMs;
const samplePercent = 10;

export const rolledBack = "it was rolled back: no cutover without a command";

export function nextStep(
  { equalSince, lookedAt, problem, cutOverAt }: CutoverNote,
  { afterVerifiedDays, hours }: CutoverPolicyConfig,
  now: Date,
): PolicyStep {
  if (cutOverAt) return undefined;
  const lookedAgoMs = agoMs(lookedAt, now);
  if (problem !== undefined && lookedAgoMs < retryMs) return undefined;
  const equalForMs = agoMs(equalSince, now);
  if (equalForMs === Number.POSITIVE_INFINITY) return "verify";
  const isDue = equalForMs >= afterVerifiedDays * dayMs;
  if (isDue && untilEnd(hours, now) !== undefined) return "cut over";
  // What has failed before it was due was a comparison.
  const isUnknown = problem !== undefined && !isDue;
  return isUnknown || lookedAgoMs >= compareEveryMs ? "verify" : undefined;
}

/** Infinity for what never was, or is said to be yet to come: the clock was wrong. */
function agoMs(then: Date | undefined, now: Date): number {
  const ms = then ? now.getTime() - then.getTime() : -1;
  return ms < 0 ? Number.POSITIVE_INFINITY : ms;
}

export function startCutoverPolicy(options: CutoverPolicyOptions): CutoverPolicy {
  const stopping = new AbortController();
  return {
    stop: () => stopping.abort(new MailError("UNAVAILABLE", "the server is shutting down")),
    ended: options.config.auto ? run(options, stopping.signal) : Promise.resolve(),
  };
}

async function run(options: CutoverPolicyOptions, signal: AbortSignal): Promise<void> {
  const { logger, lookMs = 10_000 } = options;
  while (!signal.aborted) {
    try {
      const next = await findNext(options);
      if (next) await take(options, next, signal);
      else await pause(lookMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      // What was found cannot be kept: the same again would be no better.
      logger.error({ err: error }, "cutovers by policy have to wait");
      await pause(retryMs, signal).catch(() => undefined);
    }
  }
}

interface NextAccount {
  readonly user: string;
  readonly step: Exclude<PolicyStep, undefined>;
}

async function findNext({
  config,
  mailferry,
  now = nowOf,
}: CutoverPolicyOptions): Promise<NextAccount | undefined> {
  const { directory } = mailferry;
  let found: NextAccount | undefined;
  for (const user of mailferry.openUsers()) {
    await breathe();
    if (!mailferry.hasCredentials(user) || directory.account(user)?.stage !== "complete") continue;
    const note = directory.cutoverNotes.read(user);
    const step = nextStep(note, config, now());
    if (step === "cut over") return { user, step };
    if (step && !found) found = { user, step };
    if (note.cutOverAt && note.problem !== rolledBack)
      directory.cutoverNotes.write(user, { problem: rolledBack });
  }
  return found;
}

const nowOf = (): Date => new Date();

/** Rejects where what was found cannot be kept, or on `signal`. */
async function take(
  options: CutoverPolicyOptions,
  { user, step }: NextAccount,
  signal: AbortSignal,
): Promise<void> {
  const { mailferry, logger, now = nowOf } = options;
  try {
    switch (step) {
      case "verify":
        return await verify(options, user, signal);
      case "cut over":
        return await cutOver(options, user, signal);
      default:
        return unreachable(step);
    }
  } catch (error) {
    signal.throwIfAborted();
    logger.warn({ err: error, account: user, step }, "the cutover by policy has failed");
    const { directory } = mailferry;
    // It may have failed when all was written down.
    if (directory.account(user)?.stage === "local") return;
    directory.cutoverNotes.write(user, { lookedAt: now(), problem: (error as Error).message });
  }
}

async function verify(
  { mailferry, logger, now = nowOf }: CutoverPolicyOptions,
  user: string,
  signal: AbortSignal,
): Promise<void> {
  const { cutoverNotes } = mailferry.directory;
  const kept = cutoverNotes.read(user).equalSince;
  // A clock that was wrong once.
  const equalSince = kept && kept <= now() ? kept : undefined;
  const verdict = await mailferry.withMirror(user, undefined, signal, (_, mirror, sources) =>
    verifyAccount(mirror, sources, { signal, samplePercent: equalSince ? samplePercent : 100 }),
  );
  const lookedAt = now();
  if (verdict.equal) {
    cutoverNotes.write(user, { equalSince: equalSince ?? lookedAt, lookedAt, problem: undefined });
    logger.info({ account: user, since: equalSince ?? lookedAt }, "both sides are equal");
  } else {
    const problem = describe(differencesOf(verdict));
    cutoverNotes.write(user, { equalSince: undefined, lookedAt, problem });
    logger.warn({ account: user, problem }, "both sides are not equal");
  }
}

function describe(differences: readonly string[]): string {
  const more = differences.length > 1 ? ` (and ${differences.length - 1} more)` : "";
  return `both sides are not equal: ${differences[0]}${more}`;
}

async function cutOver(
  { config, mailferry, now = nowOf }: CutoverPolicyOptions,
  user: string,
  stopping: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const leftMs = untilEnd(config.hours, now()) ?? 0;
  const timer = Number.isFinite(leftMs)
    ? setTimeout(
        () => over.abort(new MailError("CANNOT", "cutover.hours were over before it was done")),
        leftMs,
      )
    : undefined;
  const signal = anyOf(stopping, over.signal);
  try {
    await mailferry.cutOver(user, {
      password: undefined,
      dryRun: false,
      signal,
      async verify(mirror, sources) {
        const first = await firstVerdict(mirror, sources, { signal });
        return {
          ...first,
          async again(waiting) {
            const differences = await first.again(waiting);
            // The days begin anew.
            if (differences.length > 0)
              mailferry.directory.cutoverNotes.write(user, { equalSince: undefined });
            return differences;
          },
        };
      },
    });
  } finally {
    clearTimeout(timer);
  }
}
