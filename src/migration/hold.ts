/** Changes of an account are held back for the moment in which the last word on it passes to the other side. */
import { MailError } from "../errors.ts";
import { anyOf } from "../waiting.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { WriteGate } from "./write-gate.ts";

/** How long changes are held back at the most, and how long those that are under way are waited for. */
export const holdMs = 10_000;
export const closingMs = 2_000;

/** What has come in the meantime has to be brought across first: changes are not held back for so long. */
export class TryAgain extends MailError {
  constructor(reason: string) {
    super("CANNOT", `the account does not come to rest: ${reason}`);
  }
}

/** A hold that takes too long is given up, and tried again. */
export async function within<T>(
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

/** It has failed when all was written down already. */
export function breakOff(gate: WriteGate, onBroken: () => void, cause: unknown): never {
  gate.fail(new MailError("UNAVAILABLE", "The account is opened anew, please log in again", cause));
  onBroken();
  throw cause;
}
