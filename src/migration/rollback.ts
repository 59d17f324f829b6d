/**
 * The way back: the legacy server gets what has changed here since the cutover, and has the last word again, under
 * the sessions that are open. Everything that takes long comes before; while changes are held back only what has
 * changed meanwhile is given back.
 *
 * What always holds
 * - Until `commit` has returned the account is ours, whole; from then on it is the legacy server's.
 * - By then a pass over every mailbox has found nothing left to change there.
 * - What came to the legacy server since the cutover, and was not brought over, stays there.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isUnavailable, MailError, OutcomeUnknown } from "../errors.ts";
import type { ImapSource } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import { inbox, type MailboxId, type Uid } from "../mail/ids.ts";
import { pause, waitWith } from "../waiting.ts";
import { noteRollback } from "./cutover-marks.ts";
import {
  type GiveBackParts,
  type GivenBack,
  giveBackMailbox,
  type KnownDigests,
} from "./give-back-mailbox.ts";
import { type GivenNames, giveBackNames } from "./give-back-names.ts";
import { forgetChanged, noteGivenBack } from "./given-back.ts";
import { alone, breakOff, closingMs, holdMs, TryAgain, within } from "./hold.ts";
import { isFull } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";
import { settledMark } from "./straggler-sweep.ts";
import type { SwitchingMirror } from "./switching-mirror.ts";

export interface RollbackOptions {
  readonly switching: SwitchingMirror;
  /** Of the legacy server; not closed. undefined where it has POP3 only: it has kept its mail, and takes none. */
  readonly source: ImapSource | undefined;
  /** Whether it is there at all, and takes the password. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** Nothing more is brought over. */
  readonly endSweep: () => Promise<void>;
  /** The mirror of the legacy server, on mailboxes that are open. */
  readonly openLegacy: (states: ReadonlyMap<MailboxId, MailboxState>) => Promise<Mirror>;
  /** Writes down, for good, whose account it is. */
  readonly commit: () => void;
  /** Whether that is written down. */
  readonly isCommitted: () => boolean;
  /** It has failed after `commit`: the account is to be opened anew, as the mirrored one that it is. */
  readonly onBroken: () => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface RollbackReport {
  /** How long changes were held back, in milliseconds. */
  readonly heldMs: number;
  /** What could not be kept as it was, for people. */
  readonly notes: readonly string[];
}

const maxTries = 10;
const pauseMs = 1_000;
/** Over all mailboxes: one that changes nothing is the last. */
const maxRounds = 10;
/** So much is left for when changes wait: where people are at work, there is always something. */
const fewChanges = 50;
/** What the sweep is given to end in good order. */
const retireMs = 5_000;

/** Throws CANNOT with what stands against it, in words for people. */
export async function rollBack(options: RollbackOptions): Promise<RollbackReport> {
  const { switching, source, signal, logger } = options;
  const { store } = switching.mirror;
  const { authority } = switching.current;
  await options.probe(signal);
  if (source) noteRollback(store);
  await options.endSweep();
  const account: Account = {
    mirror: switching.mirror,
    returns: new Map(),
    moved: new Map(),
    names: undefined,
  };
  for (let tries = maxTries; ; tries--) {
    try {
      if (source) await giveBack(account, { store, source, authority, signal }, false);
      return await hold(options, account);
    } catch (error) {
      const passes = error instanceof TryAgain || isUnavailable(error) || error instanceof OutcomeUnknown;
      if (tries <= 1 || !passes || options.isCommitted()) throw error;
      logger.info({ reason: (error as Error).message }, "the rollback is tried again");
      await pause(pauseMs, signal);
    }
  }
}

interface Account {
  readonly mirror: Mirror;
  /** Whose UIDs had to become others here. */
  readonly moved: Map<MailboxState, Map<Uid, Uid>>;
  readonly returns: Map<MailboxState, Return>;
  names: GivenNames | undefined;
}

/** The last pass over a mailbox. */
interface Return {
  readonly revision: number;
  readonly uidNext: Uid;
  readonly given: GivenBack;
  readonly digests: KnownDigests;
}

/** A pass that has changed nothing, and nothing has changed here since it began. */
function isDone({ returns }: Account, state: MailboxState): boolean {
  const last = returns.get(state);
  if (!last || last.given.changes > 0) return false;
  return last.revision === state.table.revision && last.uidNext === state.record.uidNext;
}

/** Until nothing is left to be done. `isLast`: nothing changes here meanwhile. */
async function giveBack(account: Account, parts: GiveBackParts, isLast: boolean): Promise<void> {
  for (let round = 0; round < maxRounds; round++) {
    const names = await giveBackNames(parts);
    account.names = names;
    let { changes } = names;
    for (const mailbox of await account.mirror.all()) {
      const needsUid = isLast && account.returns.get(mailbox.state)?.given.modSeqs === "empty";
      if (!isDone(account, mailbox.state) || needsUid)
        changes += await giveBackOne(account, parts, mailbox, isLast);
    }
    if (changes === 0 || (!isLast && changes <= fewChanges)) return;
  }
  if (isLast) throw new TryAgain("more is left to be done than changes may wait for");
}

async function giveBackOne(
  { returns, moved }: Account,
  parts: GiveBackParts,
  mailbox: MailboxMirror,
  isLast: boolean,
): Promise<number> {
  const { state } = mailbox;
  settledMark(parts.store, state);
  const digests = returns.get(state)?.digests ?? new Map<Uid, string>();
  // Alone: a UID that is taken for a message that is still being added is not free.
  const { revision, ...here } = await state.exclusive(async () => ({
    revision: state.table.revision,
    record: state.record,
    messages: state.table.uids.map((uid) => state.table.get(uid)).filter(isFull),
  }));
  const given = await giveBackMailbox(parts, mailbox, here, { digests, isLast });
  returns.set(state, { revision, uidNext: here.record.uidNext, given, digests });
  moved.set(state, new Map([...(moved.get(state) ?? []), ...given.moved]));
  return given.changes;
}

/** Changes wait; afterwards they go to the legacy server. */
async function hold(options: RollbackOptions, account: Account): Promise<RollbackReport> {
  const { switching, source, logger, onBroken } = options;
  const { gate, mirror } = switching;
  const { store } = mirror;
  // Past the gate.
  const { authority } = switching.current;
  const started = performance.now();
  await within(closingMs, options.signal, (signal) => gate.close(signal));
  try {
    const states = await within(holdMs, options.signal, async (signal) => {
      if (source) await giveBack(account, { store, source, authority, signal }, true);
      const all = (await mirror.all()).map(({ state }) => state);
      await waitWith(
        alone(all, async () => {
          signal.throwIfAborted();
          commit(options, account, all);
        }),
        signal,
      );
      return all;
    }).catch((error: unknown) => {
      // It is written down, whatever came after.
      if (options.isCommitted()) breakOff(gate, onBroken, error);
      throw error;
    });
    await switchBack(options, states).catch((error: unknown) => breakOff(gate, onBroken, error));
    const heldMs = Math.round(performance.now() - started);
    gate.open();
    logger.info({ heldMs }, "the account is the legacy server's again");
    if (source) for (const state of states) await forgetChanged(state);
    mirror.wake();
    return { heldMs, notes: source ? notesOf(account, states) : staying(states) };
  } finally {
    gate.open();
  }
}

function commit(
  { commit: write, isCommitted, logger, source }: RollbackOptions,
  account: Account,
  states: readonly MailboxState[],
): void {
  const { store } = account.mirror;
  for (const state of states)
    if (source && !isDone(account, state)) throw new TryAgain(`${state.record.name} has changed`);
  for (const state of source ? states : []) {
    const { uidValidity, changed } = returnOf(account, state);
    noteGivenBack(store, state.record.id, { uidValidity, changed });
  }
  try {
    write();
  } catch (error) {
    if (!isCommitted()) throw error;
    logger.error({ err: error }, "not all of the stage could be written down");
  }
  for (const state of source ? states : []) {
    const { modSeqs } = returnOf(account, state);
    state.becomeMirrored(modSeqs === "theirs" ? "theirs" : "counted");
  }
}

function returnOf({ returns }: Account, state: MailboxState): GivenBack {
  const last = returns.get(state);
  if (!last) throw new Error(`${state.record.name} was not given back`);
  return last.given;
}

async function switchBack(
  { switching, openLegacy, source }: RollbackOptions,
  states: readonly MailboxState[],
): Promise<void> {
  const { current } = switching;
  await Promise.race([current.retire(), delay(retireMs, undefined, { ref: false })]);
  // By POP3 alone what is here keeps having no other home.
  if (source) current.store.becomeMirrored();
  const mirror = await openLegacy(new Map(states.map((state) => [state.record.id, state])));
  await switching.switchTo(mirror).catch(async (error: unknown) => {
    await mirror.retire();
    throw error;
  });
}

function notesOf(account: Account, states: readonly MailboxState[]): readonly string[] {
  const kept = account.names?.kept.map(
    (name) => `${name}: deleted here, and kept there, where mail has come to it`,
  );
  const stuck = account.names?.stuck.map((name) => `${name}: its subscription cannot be changed there`);
  const ofMailboxes = states.flatMap((state) => {
    const { name } = state.record;
    const { uidValidity, modSeqs, lostKeywords, changed } = returnOf(account, state);
    const isNew = uidValidity !== undefined && state.table.uids.length > 0;
    return [
      ...(isNew
        ? [`${name}: it is new there, and has another UIDVALIDITY (${uidValidity}): clients load it anew`]
        : []),
      ...[...(account.moved.get(state) ?? [])].map(
        ([before, after]) => `${name}: the message of UID ${before} has UID ${after} now`,
      ),
      ...(lostKeywords.length > 0
        ? [`${name}: keywords that it cannot keep: ${lostKeywords.join(" ")}`]
        : []),
      ...(changed.length > 0
        ? [`${name}: ${changed.length} messages have another date or size there, and are fetched anew`]
        : []),
      ...(modSeqs === "behind"
        ? [
            `${name}: its MODSEQs there are below those told here: clients with QRESYNC are to come through Mailferry`,
          ]
        : []),
    ];
  });
  return [...(kept ?? []), ...(stuck ?? []), ...ofMailboxes];
}

/** POP3 takes no mail, and knows no mailboxes: what was filed here stays here, as before the cutover. */
function staying(states: readonly MailboxState[]): readonly string[] {
  return states
    .filter(({ record, table }) => record.name !== inbox && table.uids.length > 0)
    .map(({ record, table }) => `${record.name}: its ${table.uids.length} messages stay here`);
}

/** Of an account that was never cut over, or that has none to go back to. */
export function noWayBack(user: string): MailError {
  return new MailError("CANNOT", `${user} came from no legacy server that it could go back to`);
}
