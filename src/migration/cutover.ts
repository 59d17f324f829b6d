import { isUnavailable, MailError } from "../errors.ts";
import type { ImapSource, Listing } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import { anyOf, pause, waitWith } from "../waiting.ts";
import { markCutover } from "./cutover-marks.ts";
import { hindrancesOf } from "./hindrances.ts";
import {
  isStill,
  type Moment,
  momentOf,
  type OpenStates,
  type SideChange,
  switchWhileHeld,
  TryAgain,
  writeForGood,
} from "./hold.ts";
import { acceptedOf, isAbsentThen, isLeftBehind, noteAbsent } from "./left-behind.ts";
import { fetchListing, keptListing } from "./listing.ts";
import { keepUidGap } from "./local-mailbox.ts";
import { lossesOf } from "./losses.ts";
import { describeDoubts } from "./mailbox-doubts.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";
import { noteDecision } from "./settle-hindrances.ts";
import { extentThere, noteExtent, shutOf } from "./shut-mailbox.ts";

export interface CutoverOptions extends SideChange {
  /** undefined where the legacy server has POP3 only. */
  readonly imap: ImapSource | undefined;
  /** Compares both sides anew, while people go on working. */
  readonly verify: () => Promise<FirstVerdict>;
  /** A POP3 session that the old server serves. */
  readonly isRelaying: () => boolean;
  /** Our own mirror, on mailboxes that are open. */
  readonly openLocal: (states: OpenStates) => Promise<Mirror>;
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
  if (outcome.kind === "incomplete" && outcome.bars.length > 0) throw refusal(outcome.bars);
  const held = await mirror.held.list();
  if (held.length > 0) throw refusal(held.map(({ mailbox }) => `${mailbox}: deletions --help`));
}

function refusal(reasons: readonly string[]): MailError {
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : "";
  return new MailError("CANNOT", `both sides are not equal: ${reasons[0]}${more}`);
}

/** Where nobody has accepted it, nothing was in it: the cutover's own word is kept likewise. */
function tellAbsent({ logger }: CutoverOptions, state: MailboxState): void {
  state.announceGone("Mailbox was deleted");
  if (acceptedOf(state)) return;
  const said = { choice: "accept", by: "cutover", at: new Date().toISOString() } as const;
  try {
    for (const empty of hindrancesOf({ state })) noteDecision(state.store, empty, said);
  } catch (error) {
    logger.warn({ err: error, mailbox: state.record.name }, "that it was left behind could not be kept");
  }
}

/** What is in dovecot-uidlist and on stable storage, by mailbox. */
type Written = Map<MailboxState, Moment>;

/** With where its own UIDs begin, should it become local. `also`: whose UIDLs are new. */
async function writeDown(
  mirror: Mirror,
  written: Written,
  signal: AbortSignal,
  also: readonly MailboxMirror[] = [],
): Promise<void> {
  const all = await mirror.all();
  const absent = all.filter(({ state }) => isAbsentThen(state));
  noteAbsent(
    mirror.store,
    absent.map(({ state }) => state.record.name),
  );
  for (const mailbox of absent) written.delete(mailbox.state);
  for (const mailbox of all) {
    const { state } = mailbox;
    if (absent.includes(mailbox)) continue;
    if (isStill(state, written.get(state)) && !also.some((one) => one.state === state)) continue;
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

async function hold(
  options: CutoverOptions,
  verdict: FirstVerdict,
  written: Written,
): Promise<CutoverReport> {
  const { mirror } = options.switching;
  const lost: Lost = new Map();
  const { heldMs } = await switchWhileHeld(options, {
    async prepare(signal) {
      const matched = await takeLastDelta(options, signal);
      const differences = verdict.differences.length === 0 ? [] : await verdict.again(signal);
      if (differences.length > 0) throw refusal(differences);
      await writeDown(mirror, written, signal, matched);
    },
    commit: (states) => commit(options, states, written, lost),
    async open(states) {
      mirror.store.becomeLocal();
      await removeRemains(options, lost);
      for (const state of states.values()) if (!state.isLocal) tellAbsent(options, state);
      return options.openLocal(states);
    },
  });
  options.logger.info({ heldMs }, "the account is local");
  return { heldMs };
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
  await Promise.all(mailboxes.map((mailbox) => lookOnce(mailbox, signal)));
  const missing = mailboxes.reduce((sum, { state }) => sum + missingCount(state), 0);
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

const extentPatienceMs = 2_000;

/** Of one that is not opened, STATUS may tell that more is in it by now. */
async function lookOnce(mailbox: MailboxMirror, signal: AbortSignal): Promise<void> {
  const { state } = mailbox;
  if (!shutOf(state) || !isLeftBehind(state)) return mailbox.sync(signal);
  const patience = anyOf(signal, AbortSignal.timeout(extentPatienceMs));
  const there = await extentThere(state, patience).catch(() => undefined);
  signal.throwIfAborted();
  noteExtent(state, there);
}

/** Without what tells of mail, not of names. */
function namesOf(listing: Listing): string {
  return JSON.stringify(listing, (key, value: unknown) =>
    key === "attributes" && Array.isArray(value)
      ? value.filter((name) => !/^\\(un)?marked$/i.test(String(name)))
      : value,
  );
}

/** Without what was accepted as lost. */
function missingCount(state: MailboxState): number {
  const { store, record, table } = state;
  if (isLeftBehind(state)) return 0;
  return table.uids.length - table.fullCount - lossesOf(store, record).missingFrom(table).length;
}

type Lost = Map<MailboxState, readonly Uid[]>;

/** What was accepted as lost is expunged here, and nowhere else: a rollback removes only what somebody wants gone. */
function dropLost(state: MailboxState, lost: Lost): void {
  const uids = lossesOf(state.store, state.record).missingFrom(state.table);
  if (uids.length === 0) return;
  state.logExpunged(uids, "lost");
  state.commitRemoved(uids);
  lost.set(state, uids);
}

/** Where that fails the next opening does it. */
async function removeRemains({ logger }: CutoverOptions, lost: Lost): Promise<void> {
  for (const [{ store, record }, uids] of lost)
    await store
      .removeMessages(record, uids)
      .catch((error: unknown) =>
        logger.warn({ err: error, mailbox: record.name }, "remains are still there"),
      );
}

function commit(
  options: CutoverOptions,
  states: readonly MailboxState[],
  written: Written,
  lost: Lost,
): void {
  for (const state of states) {
    const [doubt] = describeDoubts(state);
    if (doubt !== undefined) throw new TryAgain(`${state.record.name}: ${doubt}`);
    if (isAbsentThen(state) && !written.has(state)) continue;
    if (!isLeftBehind(state) && !state.isSettled)
      throw new TryAgain(`${state.record.name} is not whole here`);
    if (!isStill(state, written.get(state))) throw new TryAgain(`${state.record.name} has changed`);
  }
  writeForGood(options);
  for (const state of states) {
    if (!written.has(state)) continue;
    state.becomeLocal();
    dropLost(state, lost);
  }
}
