/** Changes of an account are held back for the moment in which the last word on it passes to the other side. */
import { setTimeout as delay } from "node:timers/promises";
import { MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { MailboxId, Uid } from "../mail/ids.ts";
import { anyOf, waitWith } from "../waiting.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";
import type { SwitchingMirror } from "./switching-mirror.ts";
import type { WriteGate } from "./write-gate.ts";

/** Of an account that gets another master, either way. */
export interface SideChange {
  readonly switching: SwitchingMirror;
  /** Writes down, for good, whose account it is. */
  readonly commit: () => void;
  /** Whether that is written down. */
  readonly isCommitted: () => boolean;
  /** It has failed after `commit`: the account is to be opened anew, as what it is then. */
  readonly onBroken: () => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export type OpenStates = ReadonlyMap<MailboxId, MailboxState>;

export interface HeldSteps {
  /** While changes wait; throws TryAgain where they would have to wait for too long. */
  readonly prepare: (signal: AbortSignal) => Promise<void>;
  /** Alone with all mailboxes: looks once more, writes the change down, and tells the mailboxes. */
  readonly commit: (states: readonly MailboxState[]) => void;
  /** The new master's mirror, on mailboxes that are open. */
  readonly open: (states: OpenStates) => Promise<Mirror>;
}

/** How long changes are held back at the most, and how long those that are under way are waited for. */
const holdMs = 10_000;
const closingMs = 2_000;
/** What the old master is given to end in good order. */
const retireMs = 5_000;

/** What has come in the meantime has to be brought across first: changes are not held back for so long. */
export class TryAgain extends MailError {
  constructor(reason: string) {
    super("CANNOT", `the account does not come to rest: ${reason}`);
  }
}

/** A hold that takes too long is given up, and tried again. */
async function within<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const patience = AbortSignal.timeout(ms);
  try {
    return await work(anyOf(signal, patience));
  } catch (error) {
    signal.throwIfAborted();
    if (patience.aborted) throw new TryAgain(`changes would have to wait for more than ${ms} ms`);
    throw error;
  }
}

/** No delta comes in between. */
export function alone(states: readonly MailboxState[], work: () => Promise<void>): Promise<void> {
  return states.reduceRight<() => Promise<void>>((inner, state) => () => state.exclusive(inner), work)();
}

/** When it was looked at last: as long as it is the same, nothing has changed here since. */
export interface Moment {
  readonly revision: number;
  readonly uidNext: Uid;
}

export function momentOf({ table: { revision }, record: { uidNext } }: MailboxState): Moment {
  return { revision, uidNext };
}

export function isStill(state: MailboxState, moment: Moment | undefined): boolean {
  const { revision, uidNext } = momentOf(state);
  return moment?.revision === revision && moment.uidNext === uidNext;
}

/** Changes wait; afterwards they go to whoever has the last word then. How long they waited, and the mailboxes. */
export async function switchWhileHeld(
  { switching, isCommitted, onBroken, signal }: SideChange,
  { prepare, commit, open }: HeldSteps,
): Promise<{ readonly heldMs: number; readonly states: readonly MailboxState[] }> {
  const { gate, mirror } = switching;
  const started = performance.now();
  await within(closingMs, signal, (waiting) => gate.close(waiting));
  try {
    const states = await within(holdMs, signal, async (waiting) => {
      await prepare(waiting);
      const all = (await mirror.all()).map(({ state }) => state);
      await waitWith(
        alone(all, async () => {
          waiting.throwIfAborted();
          commit(all);
        }),
        waiting,
      );
      return all;
    }).catch((error: unknown) => {
      // It is written down, whatever came after.
      if (isCommitted()) breakOff(gate, onBroken, error);
      throw error;
    });
    await takePlace(switching, states, open).catch((error: unknown) => breakOff(gate, onBroken, error));
    return { heldMs: Math.round(performance.now() - started), states };
  } finally {
    gate.open();
  }
}

/** The stage is what counts: what else could not be written down is found out at the next opening. */
export function writeForGood({ commit, isCommitted, logger }: SideChange): void {
  try {
    commit();
  } catch (error) {
    if (!isCommitted()) throw error;
    logger.error({ err: error }, "not all of the stage could be written down");
  }
}

async function takePlace(
  switching: SwitchingMirror,
  states: readonly MailboxState[],
  open: HeldSteps["open"],
): Promise<void> {
  const { current } = switching;
  await Promise.race([current.retire(), delay(retireMs, undefined, { ref: false })]);
  const next = await open(new Map(states.map((state) => [state.record.id, state])));
  await switching.switchTo(next).catch(async (error: unknown) => {
    await next.retire();
    throw error;
  });
}

/** It has failed when all was written down already. */
function breakOff(gate: WriteGate, onBroken: () => void, cause: unknown): never {
  gate.fail(new MailError("UNAVAILABLE", "The account is opened anew, please log in again", cause));
  onBroken();
  throw cause;
}
