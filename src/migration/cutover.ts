/**
 * The cutover of one account: the last word passes from the legacy server to Mailferry, under the sessions that are
 * open. Everything that takes long comes before; while changes are held back there is only the last delta.
 *
 * What always holds
 * - Until `commit` has returned the account is the legacy server's, untouched; from then on it is ours.
 * - What the legacy server had when changes were held back is here, whole and on stable storage.
 * - Nothing is taken in between the last look and the switch.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isUnavailable, MailError } from "../errors.ts";
import type { ImapSource, Listing } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { MailboxId, Uid } from "../mail/ids.ts";
import { pause, waitWith } from "../waiting.ts";
import { markCutover } from "./cutover-marks.ts";
import { alone, breakOff, closingMs, holdMs, TryAgain, within } from "./hold.ts";
import { fetchListing, keptListing } from "./listing.ts";
import { keepUidGap } from "./local-mailbox.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";
import type { SwitchingMirror } from "./switching-mirror.ts";

export interface CutoverOptions {
  readonly switching: SwitchingMirror;
  /** undefined where the legacy server has POP3 only. */
  readonly imap: ImapSource | undefined;
  /** Compares both sides anew, while people go on working. */
  readonly verify: () => Promise<FirstVerdict>;
  /** A POP3 session that the old server serves. */
  readonly isRelaying: () => boolean;
  /** Writes down, for good, whose account it is. */
  readonly commit: () => void;
  /** Whether that is written down. */
  readonly isCommitted: () => boolean;
  /** It has failed after `commit`: the account is to be opened anew, as the local one that it is. */
  readonly onBroken: () => void;
  /** Our own mirror, on mailboxes that are open. */
  readonly openLocal: (states: ReadonlyMap<MailboxId, MailboxState>) => Promise<Mirror>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Only looks whether it could be done. */
  readonly dryRun: boolean;
}

export interface FirstVerdict {
  /** For people. */
  readonly differences: readonly string[];
  /** Those that still are, now that both sides have come to rest. */
  again(signal: AbortSignal): Promise<readonly string[]>;
}

export interface CutoverReport {
  /** How long changes were held back, in milliseconds; undefined where they were not. */
  readonly heldMs: number | undefined;
}

const maxTries = 10;
/** So many messages that have come meanwhile are brought across while changes wait. */
const maxMissing = 200;
const relayPauseMs = 1_000;
const relayPatienceMs = 5 * 60_000;
/** What the legacy server is given to end in good order. */
const retireMs = 5_000;

/** Throws CANNOT with what stands against it, in words for people. */
export async function cutOver(options: CutoverOptions): Promise<CutoverReport> {
  const { switching, signal, logger } = options;
  const { mirror } = switching;
  await bringAcross(mirror, signal);
  const verdict = await options.verify();
  if (options.dryRun) {
    if (verdict.differences.length > 0) throw refusal(verdict.differences);
    return { heldMs: undefined };
  }
  for (let tries = maxTries; ; tries--) {
    await waitForRelayed(options);
    await bringAcross(mirror, signal);
    const written: Written = new Map();
    await writeDown(mirror, written, signal);
    try {
      return await hold(options, verdict, written);
    } catch (error) {
      if (tries <= 1 || !(error instanceof TryAgain)) throw error;
      logger.info({ reason: error.message }, "the cutover is tried again");
      await pause(relayPauseMs, signal);
    }
  }
}

async function waitForRelayed({ isRelaying, signal }: CutoverOptions): Promise<void> {
  const until = performance.now() + relayPatienceMs;
  while (isRelaying()) {
    if (performance.now() > until) throw new TryAgain("a POP3 session is served by the old server");
    await pause(relayPauseMs, signal);
  }
}

async function bringAcross(mirror: Mirror, signal: AbortSignal): Promise<void> {
  const outcome = await mirror.pull(signal);
  if (outcome.kind === "failed") throw outcome.error;
  if (outcome.kind === "incomplete") throw refusal(outcome.problems);
  const held = await mirror.held.list();
  if (held.length > 0) throw refusal(held.map(({ mailbox }) => `${mailbox}: deletions --help`));
}

function refusal(reasons: readonly string[]): MailError {
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : "";
  return new MailError("CANNOT", `both sides are not equal: ${reasons[0]}${more}`);
}

/** What is in dovecot-uidlist and on stable storage, by mailbox. */
type Written = Map<MailboxState, { readonly revision: number; readonly uidNext: Uid }>;

const momentOf = ({ table, record }: MailboxState) => ({ revision: table.revision, uidNext: record.uidNext });

function isWritten(written: Written, state: MailboxState): boolean {
  const { revision, uidNext } = momentOf(state);
  const known = written.get(state);
  return known?.revision === revision && known.uidNext === uidNext;
}

/** With where its own UIDs begin, should it become local. `also`: whose UIDLs are new. */
async function writeDown(
  mirror: Mirror,
  written: Written,
  signal: AbortSignal,
  also: readonly MailboxMirror[] = [],
): Promise<void> {
  for (const mailbox of await mirror.all()) {
    const { state } = mailbox;
    if (isWritten(written, state) && !also.some((one) => one.state === state)) continue;
    await waitWith(state.removed(), signal);
    const moment = momentOf(state);
    keepUidGap(mirror.store, state.record);
    await waitWith(mailbox.checkpoint(), signal);
    written.set(state, moment);
  }
  markCutover(
    mirror.store,
    [...written.keys()].map(({ record }) => record),
  );
  await waitWith(mirror.store.makeDurable(), signal);
}

/** Changes wait; afterwards they go to whoever has the last word then. */
async function hold(
  options: CutoverOptions,
  verdict: FirstVerdict,
  written: Written,
): Promise<CutoverReport> {
  const { switching, logger } = options;
  const { gate, mirror } = switching;
  const started = performance.now();
  await within(closingMs, options.signal, (signal) => gate.close(signal));
  try {
    const states = await within(holdMs, options.signal, async (signal) => {
      const matched = await takeLastDelta(options, signal);
      const differences = verdict.differences.length === 0 ? [] : await verdict.again(signal);
      if (differences.length > 0) throw refusal(differences);
      await writeDown(mirror, written, signal, matched);
      const all = (await mirror.all()).map(({ state }) => state);
      await waitWith(
        alone(all, async () => {
          signal.throwIfAborted();
          commit(options, all, written);
        }),
        signal,
      );
      return all;
    }).catch((error: unknown) => {
      // It is written down, whatever came after.
      if (options.isCommitted()) breakOff(gate, options.onBroken, error);
      throw error;
    });
    await switchOver(options, states).catch((error: unknown) => breakOff(gate, options.onBroken, error));
    const heldMs = Math.round(performance.now() - started);
    logger.info({ heldMs }, "the account is local");
    return { heldMs };
  } finally {
    gate.open();
  }
}

/** Gives the mailboxes whose messages have got other UIDLs. */
async function takeLastDelta(
  options: CutoverOptions,
  signal: AbortSignal,
): Promise<readonly MailboxMirror[]> {
  const { switching, imap, isRelaying } = options;
  const { mirror } = switching;
  if (isRelaying()) throw new TryAgain("a POP3 session is served by the old server");
  if (imap) {
    const listing = await fetchListing(imap, "interactive", signal);
    const kept = keptListing(mirror.store);
    if (!kept || namesOf(listing) !== namesOf(kept)) throw new TryAgain("its mailboxes have changed");
  }
  // By POP3 alone, what is new comes with its bytes.
  if (!imap) await bringAcross(mirror, signal);
  const mailboxes = await mirror.all();
  await Promise.all(mailboxes.map((mailbox) => mailbox.sync(signal)));
  const missing = mailboxes.reduce(
    (sum, { state: { table } }) => sum + table.uids.length - table.fullCount,
    0,
  );
  if (missing > maxMissing) throw new TryAgain(`${missing} messages have come`);
  if (missing > 0) await bringAcross(mirror, signal);
  try {
    const matched = await waitWith(mirror.maildrop?.match() ?? Promise.resolve([]), signal);
    const problems = mirror.maildrop?.problems() ?? [];
    if (problems.length > 0) throw refusal(problems);
    return matched;
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    throw new TryAgain(error.message);
  }
}

/** Without what tells of mail, not of names. */
function namesOf(listing: Listing): string {
  return JSON.stringify(listing, (key, value: unknown) =>
    key === "attributes" && Array.isArray(value)
      ? value.filter((name) => !/^\\(un)?marked$/i.test(String(name)))
      : value,
  );
}

function commit(options: CutoverOptions, states: readonly MailboxState[], written: Written): void {
  for (const state of states) {
    if (!state.isSettled) throw new TryAgain(`${state.record.name} is not whole here`);
    if (!isWritten(written, state)) throw new TryAgain(`${state.record.name} has changed`);
  }
  try {
    options.commit();
  } catch (error) {
    if (!options.isCommitted()) throw error;
    options.logger.error({ err: error }, "not all of the stage could be written down");
  }
  for (const state of states) state.becomeLocal();
}

async function switchOver(
  { switching, openLocal }: CutoverOptions,
  states: readonly MailboxState[],
): Promise<void> {
  const { current } = switching;
  const { store } = current;
  await Promise.race([current.retire(), delay(retireMs, undefined, { ref: false })]);
  store.becomeLocal();
  const byId = new Map(states.map((state) => [state.record.id, state]));
  const local = await openLocal(byId);
  await switching.switchTo(local).catch(async (error: unknown) => {
    await local.retire();
    throw error;
  });
}
