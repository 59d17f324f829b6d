import { isUnavailable, MailError } from "../errors.ts";
import type { ImapSource } from "../legacy/source.ts";
import { inbox } from "../mail/ids.ts";
import { uidlRecipeKey } from "../store/pop3-fields.ts";
import { pause } from "../waiting.ts";
import { noteRollback, readMark } from "./cutover-marks.ts";
import { createProgress, type GiveBackParts, giveBackMailbox, type Progress } from "./give-back-mailbox.ts";
import { type GivenNames, giveBackNames } from "./give-back-names.ts";
import { forgetChanged, noteGivenBack } from "./given-back.ts";
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
import { isFull } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";
import { keepAsOurs } from "./take-dropped.ts";

export interface RollbackOptions extends SideChange {
  /** Of the legacy server; not closed. undefined where it has POP3 only: it has kept its mail, and takes none. */
  readonly source: ImapSource | undefined;
  /** It has POP3, too. */
  readonly hasPop3: boolean;
  /** Whether it is there at all, and takes the password. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** Nothing more is brought over. */
  readonly restSweep: () => Promise<void>;
  /** The mirror of the legacy server, on mailboxes that are open. */
  readonly openLegacy: (states: OpenStates) => Promise<Mirror>;
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

/** Throws CANNOT with what stands against it, in words for people. */
export async function rollBack(options: RollbackOptions): Promise<RollbackReport> {
  const { switching, source, signal, logger } = options;
  const { store } = switching.mirror;
  const { authority } = switching.current;
  await options.probe(signal);
  await options.restSweep();
  const account: Account = { mirror: switching.mirror, returns: new Map(), names: undefined };
  for (let tries = maxTries; ; tries--) {
    try {
      if (source) await giveBack(account, { store, source, authority, signal }, false);
      return await hold(options, account);
    } catch (error) {
      const passes = error instanceof TryAgain || isUnavailable(error);
      if (tries <= 1 || !passes || options.isCommitted()) throw error;
      logger.info({ reason: error.message }, "the rollback is tried again");
      await pause(pauseMs, signal);
    }
  }
}

interface Account {
  readonly mirror: Mirror;
  readonly returns: Map<MailboxState, Return>;
  names: GivenNames | undefined;
}

/** The last pass over a mailbox, and what all have come to know. */
interface Return {
  readonly moment: Moment;
  readonly changes: number;
  readonly progress: Progress;
}

/** A pass that has changed nothing, and nothing has changed here since it began. */
function isDone({ returns }: Account, state: MailboxState): boolean {
  const last = returns.get(state);
  return last?.changes === 0 && isStill(state, last.moment);
}

/** Until nothing is left to be done. `isLast`: nothing changes here meanwhile. */
async function giveBack(account: Account, parts: GiveBackParts, isLast: boolean): Promise<void> {
  for (let round = 0; round < maxRounds; round++) {
    const names = await giveBackNames(parts);
    account.names = names;
    // What is there from now on may be what is given back.
    noteRollback(parts.store);
    let { changes } = names;
    for (const mailbox of await account.mirror.all()) {
      await mailbox.sync(parts.signal);
      const needsUid = isLast && account.returns.get(mailbox.state)?.progress.modSeqs === "empty";
      if (!isDone(account, mailbox.state) || needsUid)
        changes += await giveBackOne(account, parts, mailbox, isLast);
    }
    if (changes === 0 || (!isLast && changes <= fewChanges)) return;
  }
  if (isLast) throw new TryAgain("more is left to be done than changes may wait for");
}

async function giveBackOne(
  { returns }: Account,
  parts: GiveBackParts,
  mailbox: MailboxMirror,
  isLast: boolean,
): Promise<number> {
  const { state } = mailbox;
  const progress = returns.get(state)?.progress ?? createProgress();
  // Alone: a UID that is taken for a message that is still being added is not free.
  const { moment, ...here } = await state.exclusive(async () => {
    await keepAsOurs(state);
    const messages = state.table.uids.map((uid) => state.table.get(uid)).filter(isFull);
    return { moment: momentOf(state), record: state.record, messages };
  });
  const changes = await giveBackMailbox(parts, mailbox, here, progress, isLast);
  returns.set(state, { moment, changes, progress });
  return changes;
}

async function hold(options: RollbackOptions, account: Account): Promise<RollbackReport> {
  const { source, logger } = options;
  const { mirror } = account;
  const { store } = mirror;
  // Past the gate.
  const { authority } = options.switching.current;
  const { heldMs, states } = await switchWhileHeld(options, {
    async prepare(signal) {
      if (source) await giveBack(account, { store, source, authority, signal }, true);
    },
    commit: (all) => commit(options, account, all),
    async open(all) {
      // By POP3 alone what is here keeps having no other home.
      if (source) store.becomeMirrored();
      return options.openLegacy(all);
    },
  });
  logger.info({ heldMs }, "the account is the legacy server's again");
  // It is written down; the next opening does what is left.
  for (const state of source ? states : [])
    await forgetChanged(state).catch((error: unknown) =>
      logger.warn(
        { err: error, mailbox: state.record.name },
        "what is told otherwise there was not forgotten",
      ),
    );
  mirror.wake();
  return { heldMs, notes: source ? notesOf(options, account, states) : staying(states) };
}

function commit(options: RollbackOptions, account: Account, states: readonly MailboxState[]): void {
  // By POP3 alone nothing was given back, and mailboxes stay what they are.
  const given = options.source ? states : [];
  for (const state of given)
    if (!isDone(account, state)) throw new TryAgain(`${state.record.name} has changed`);
  for (const state of given) {
    const { uidValidity, changed } = progressOf(account, state);
    noteGivenBack(account.mirror.store, state.record.id, { uidValidity, changed: [...changed] });
  }
  writeForGood(options);
  for (const state of given) {
    const { modSeqs } = progressOf(account, state);
    state.becomeMirrored(modSeqs === "theirs" ? "theirs" : "counted");
  }
}

function progressOf({ returns }: Account, state: MailboxState): Progress {
  const last = returns.get(state);
  if (!last) throw new Error(`${state.record.name} was not given back`);
  return last.progress;
}

function notesOf(
  { hasPop3 }: RollbackOptions,
  account: Account,
  states: readonly MailboxState[],
): readonly string[] {
  const { kept = [], stuck = [] } = account.names ?? {};
  return [
    ...kept.map((name) => `${name}: deleted here, and kept there, where mail has come to it`),
    ...stuck.map((name) => `${name}: its subscription cannot be changed there`),
    ...states.flatMap((state) => notesOfMailbox(state, progressOf(account, state))),
    ...states.flatMap((state) => (hasPop3 ? notesOfUidls(state) : [])),
  ];
}

/** Where they are a function of UID and UIDVALIDITY they stay. */
function notesOfUidls({ record, table, store }: MailboxState): readonly string[] {
  const mark = record.name === inbox ? readMark(store, record.id) : undefined;
  if (!mark || store.readSetting(uidlRecipeKey) !== undefined) return [];
  const count = table.uids.filter((uid) => uid >= mark.known).length;
  return count === 0
    ? []
    : [`POP3: the ${count} messages that came since the cutover get UIDLs of its own there`];
}

function notesOfMailbox(
  { table, store, record }: MailboxState,
  { moved, merged, uidValidity, modSeqs, lostKeywords, changed, unexplained }: Progress,
): readonly string[] {
  const notes: string[] = [];
  const isNew = readMark(store, record.id) === undefined;
  if (uidValidity !== undefined && table.uids.length > 0)
    notes.push(
      isNew
        ? `it is new there, and has another UIDVALIDITY (${uidValidity}): clients load it anew`
        : `its UIDVALIDITY there is another one now (${uidValidity}): clients load it anew`,
    );
  for (const [before, after] of moved) notes.push(`the message of UID ${before} has UID ${after} now`);
  for (const [here, there] of merged)
    notes.push(`the message of UID ${here} is there as UID ${there} already: no second one is kept there`);
  if (unexplained.size > 0)
    notes.push(`${unexplained.size} messages are there that are missing here, removed by nobody: they stay`);
  if (lostKeywords.size > 0) notes.push(`keywords that it cannot keep: ${[...lostKeywords].join(" ")}`);
  if (changed.size > 0)
    notes.push(`${changed.size} messages have another date or size there, and are fetched anew`);
  if (modSeqs === "behind")
    notes.push(
      "its MODSEQs there are below those told here: clients with QRESYNC are to come through Mailferry",
    );
  return notes.map((note) => `${record.name}: ${note}`);
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
