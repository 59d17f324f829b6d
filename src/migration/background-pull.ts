/**
 * The background pull of one account: INBOX first, then the others, newest mail first, turn by turn so
 * that no mailbox holds a connection for long; again after each failure, ever less often; and done when
 * every message is `full` (or put aside) and every mailbox has its dovecot-uidlist.
 */
import { isLasting, MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { inbox } from "../mail/ids.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { hindrancesOf } from "./hindrances.ts";
import { forgetAccepted, isEmptyThere, isLeftBehind } from "./left-behind.ts";
import { doubtsOf } from "./mailbox-doubts.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MaildropMirror } from "./maildrop-mirror.ts";
import { progressOf } from "./progress.ts";
import { noteIfShut, noteOpened } from "./shut-mailbox.ts";

export type PullOutcome =
  | { readonly kind: "complete" }
  /** Everything but what the legacy server would not give. */
  | {
      readonly kind: "incomplete";
      readonly problems: readonly string[];
      /** Those that bar a cutover, too. */
      readonly bars: readonly string[];
    }
  | { readonly kind: "failed"; readonly error: unknown };

export interface BackgroundPull {
  /** Starts the pull or joins it; resolves with its outcome. */
  run(): Promise<PullOutcome>;
  /** Starts it in a moment, and tries again by itself while the legacy server is away. */
  wake(): void;
  /** The same; where the last pull has brought everything, only for what has come into this mailbox since. */
  wakeFor(mailbox: MailboxMirror): void;
  readonly busy: boolean;
  readonly outcome: PullOutcome | undefined;
  /** Resolves when nothing runs any more (after the signal). */
  ended(): Promise<void>;
}

export interface BackgroundPullOptions {
  readonly store: AccountStore;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Refreshes the listing and opens every mailbox. */
  readonly list: () => Promise<readonly MailboxMirror[]>;
  /** Where the legacy server has POP3: matched when all is here that it may be matched with. */
  readonly maildrop?: MaildropMirror | undefined;
  readonly onOutcome: (outcome: PullOutcome) => void;
}

/** A client that has just logged in goes first. */
const startDelayMs = 400;
/** Until what comes into a mailbox now and then is written into its uidlist, and matched with the maildrop. */
const afterArrivalsMs = 60_000;
/** A connection is handed back after so long, for others to have their turn. */
const turnMs = 5_000;
const mailboxesAtOnce = 2;
const retryDelaysMs = [1_000, 2_000, 5_000, 15_000, 60_000] as const;

export function createBackgroundPull(options: BackgroundPullOptions): BackgroundPull {
  const { store, logger, signal } = options;
  let running: Promise<PullOutcome> | undefined;
  let outcome: PullOutcome | undefined;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  /** Into which something has come since all was here. */
  const arrivedIn = new Set<MailboxMirror>();
  let isAllWanted = true;
  /** The run that is under way looks at all: who asks for that joins it. */
  let isOfAll = false;
  let afterArrivals: NodeJS.Timeout | undefined;
  signal.addEventListener("abort", () => clearTimeout(afterArrivals), { once: true });

  const attempt = async (): Promise<PullOutcome> => {
    const before = outcome;
    const scope = !isAllWanted && before?.kind === "complete" ? [...arrivedIn] : undefined;
    arrivedIn.clear();
    isAllWanted = false;
    const isDone = scope !== undefined && (await bringArrivals(scope));
    // Somebody may have asked for all meanwhile.
    if (isDone && !isAllWanted && before) return before;
    isAllWanted = false;
    return attemptAll();
  };
  /** The rest of a pull has time. False where something is left. */
  const bringArrivals = async (mailboxes: readonly MailboxMirror[]): Promise<boolean> => {
    const troubles = new Map<MailboxMirror, unknown>();
    await pullEach(mailboxes, troubles, { ofArrivals: true }).catch(() => undefined);
    if (
      signal.aborted ||
      troubles.size > 0 ||
      mailboxes.some((one) => one.isBehind() || problemsOf(one).length > 0)
    )
      return false;
    afterArrivals ??= setTimeout(() => {
      afterArrivals = undefined;
      wake();
    }, afterArrivalsMs);
    return true;
  };
  const attemptAll = async (): Promise<PullOutcome> => {
    isOfAll = true;
    clearTimeout(afterArrivals);
    afterArrivals = undefined;
    try {
      const mailboxes = await options.list();
      const troubles = new Map<MailboxMirror, unknown>();
      // Once more those into which mail came after their turn.
      for (let left = mailboxes; left.length > 0; ) {
        await pullEach(left, troubles, { ofArrivals: false });
        left = mailboxes.filter((mailbox) => !troubles.has(mailbox) && mailbox.isBehind());
      }
      await store.makeDurable();
      for (const mailbox of mailboxes) if (!troubles.has(mailbox)) noteOpen(mailbox);
      const refusals = await refusalsIn(troubles);
      const [empty, others] = [mailboxes.filter(isNothing), mailboxes.filter((one) => !isNothing(one))];
      const bars = [...refusals, ...others.flatMap(problemsOf), ...(await matchMaildrop())];
      const problems = [...bars, ...empty.flatMap(problemsOf)];
      return problems.length === 0 ? { kind: "complete" } : { kind: "incomplete", problems, bars };
    } catch (error) {
      return { kind: "failed", error };
    }
  };
  /** Throws what may pass; without what is told of the mailboxes anyway. */
  const refusalsIn = async (troubles: ReadonlyMap<MailboxMirror, unknown>): Promise<readonly string[]> => {
    const refusals: string[] = [];
    for (const [mailbox, error] of troubles) {
      const { state } = mailbox;
      // That the old server leaves it out of LIST is told already.
      if (doubtsOf(state).absence !== undefined) continue;
      const isShut = await noteIfShut(state, error);
      if (isShut && isLeftBehind(state)) continue;
      if (!isLasting(error)) throw named(mailbox, error);
      if (!isShut) refusals.push(`${state.record.name}: ${error.message}`);
    }
    return refusals;
  };
  /** One mailbox's trouble is not the others'. */
  const pullEach = (
    mailboxes: readonly MailboxMirror[],
    troubles: Map<MailboxMirror, unknown>,
    turns: { readonly ofArrivals: boolean },
  ): Promise<void> =>
    inParallel(inboxFirst(mailboxes), mailboxesAtOnce, async (mailbox) => {
      await pullMailbox(mailbox, turns, signal).catch((error: unknown) => {
        if (signal.aborted) throw error;
        troubles.set(mailbox, error);
        logger.warn({ err: error, mailbox: mailbox.state.record.name }, "a mailbox could not be pulled");
      });
    });
  /** What keeps the maildrop from being whole. */
  const matchMaildrop = async (): Promise<readonly string[]> => {
    const { maildrop } = options;
    if (!maildrop) return [];
    try {
      const matched = await maildrop.match();
      // Their UIDLs belong to what Dovecot reads.
      for (const mailbox of matched) await mailbox.checkpoint();
      if (matched.length > 0) await store.makeDurable();
      return maildrop.problems();
    } catch (error) {
      // The user may have no POP3 there; trying again does not help.
      if (!isLasting(error)) throw error;
      logger.warn({ err: error }, "the maildrop could not be matched");
      return [`POP3: ${error.message}`];
    }
  };
  const wake = (): void => {
    if (!isOfAll) isAllWanted = true;
    schedule(startDelayMs);
  };
  const run = (): Promise<PullOutcome> => {
    if (!isOfAll) isAllWanted = true;
    return start();
  };
  const start = (): Promise<PullOutcome> => {
    clearTimeout(timer);
    timer = undefined;
    running ??= attempt().then((result) => {
      running = undefined;
      isOfAll = false;
      outcome = result;
      if (!signal.aborted) tell(result);
      report(result);
      if (arrivedIn.size > 0) schedule(startDelayMs);
      return result;
    });
    return running;
  };
  /** A full disk shows here first: it must not end the process, nor the pulls to come. */
  const tell = (result: PullOutcome): void => {
    try {
      options.onOutcome(result);
    } catch (error) {
      logger.error({ err: error }, "the outcome of a pull could not be kept");
    }
  };
  const schedule = (delayMs: number): void => {
    if (signal.aborted || timer || running) return;
    timer = setTimeout(() => void start(), delayMs);
  };
  const report = (result: PullOutcome): void => {
    if (result.kind !== "failed") {
      failures = 0;
      logger.info({ outcome: result }, "pull ended");
      return;
    }
    if (signal.aborted) return;
    logger.warn({ err: result.error }, "pull interrupted");
    isAllWanted = true;
    schedule(retryDelaysMs[Math.min(failures++, retryDelaysMs.length - 1)] ?? 60_000);
  };

  return {
    run,
    wake,
    wakeFor(mailbox) {
      arrivedIn.add(mailbox);
      schedule(startDelayMs);
    },
    get busy() {
      return running !== undefined || timer !== undefined;
    },
    get outcome() {
      return running ? undefined : outcome;
    },
    async ended() {
      clearTimeout(timer);
      timer = undefined;
      await running;
      clearTimeout(timer);
    },
  };
}

async function pullMailbox(
  mailbox: MailboxMirror,
  turns: { readonly ofArrivals: boolean },
  signal: AbortSignal,
): Promise<void> {
  do signal.throwIfAborted();
  while ((await mailbox.pullTurn(turnMs, turns)) === "more");
  if (!turns.ofArrivals) await mailbox.checkpoint();
}

function noteOpen({ state }: MailboxMirror): void {
  if (state.isTransient || state.isLocal) return;
  noteOpened(state);
  forgetAccepted(state);
}

/** Nothing of it could be lost. */
function isNothing(mailbox: MailboxMirror): boolean {
  return isEmptyThere(mailbox.state) && hindrancesOf(mailbox).every(({ kind }) => kind === "shut");
}

function problemsOf(mailbox: MailboxMirror): string[] {
  const { name, problems } = progressOf(mailbox);
  return problems.map((problem) => `${name}: ${problem}`);
}

/** Which mailbox it was; of the disk's troubles none is to blame. */
function named({ state }: MailboxMirror, error: unknown): unknown {
  if (!(error instanceof MailError) || error instanceof StoreTrouble) return error;
  return new MailError(error.code, `${state.record.name}: ${error.message}`, error);
}

function inboxFirst(mailboxes: readonly MailboxMirror[]): MailboxMirror[] {
  return [...mailboxes].sort(
    (a, b) => Number(b.state.record.name === inbox) - Number(a.state.record.name === inbox),
  );
}

/** Runs `work` over `items` in order, `width` at a time; ends with the first failure, after all have ended. */
async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  const results = await Promise.allSettled(Array.from({ length: width }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
