/**
 * Why what is here of a mailbox may not be what the old server has, as long as that is so: it bars the cutover, and
 * only a later look takes it away. It is not kept: each opening finds it out again.
 */
import type { AbsentMailboxes } from "./absent-mailboxes.ts";
import type { MailboxState } from "./mailbox-state.ts";

export interface MailboxDoubts {
  /** LIST leaves it out, in words for people. */
  absence: string | undefined;
  /** It is left out, and clients are shown what is here of it. */
  isServed: boolean;
  /** It is left out with most of the account: somebody must decide. */
  isHeld: boolean;
  /** Its last listing was not whole. */
  gap: ListingGap | undefined;
}

export interface ListingGap {
  /** For people. */
  readonly reason: string;
  /** What the server said of the mailbox at that look: while it says the same, looking again tells nothing new. */
  readonly exists: number | undefined;
  readonly atMs: number;
}

const all = new WeakMap<MailboxState, MailboxDoubts>();

export function doubtsOf(state: MailboxState): MailboxDoubts {
  const known = all.get(state);
  if (known) return known;
  const doubts: MailboxDoubts = { absence: undefined, isServed: false, isHeld: false, gap: undefined };
  all.set(state, doubts);
  return doubts;
}

export function noteAbsence(
  state: MailboxState,
  { reasonOf, isServed, held }: Pick<AbsentMailboxes, "reasonOf" | "isServed" | "held">,
): void {
  const { id } = state.record;
  const doubts = doubtsOf(state);
  doubts.absence = reasonOf(id);
  doubts.isServed = isServed(id);
  doubts.isHeld = held.has(id);
}

/** For people. */
export function describeDoubts(state: MailboxState): string[] {
  const { absence, gap } = doubtsOf(state);
  return [absence, gap?.reason].filter((reason) => reason !== undefined);
}

/** Why the last listing was not whole; undefined where it was. */
export function noteGap(state: MailboxState, reason: string | undefined, exists: number | undefined): void {
  doubtsOf(state).gap = reason === undefined ? undefined : { reason, exists, atMs: performance.now() };
}

/** For so long an old server that cannot list all of a mailbox is not asked for it again. */
const patienceMs = 60_000;

/** The old server says of the mailbox what it said when its listing was not whole, a moment ago. */
export function isKnownGap(state: MailboxState, exists: number | undefined): boolean {
  const { gap } = doubtsOf(state);
  return gap !== undefined && gap.exists === exists && performance.now() - gap.atMs < patienceMs;
}

/** Somebody wants to know whether it is still so. */
export function expireGap(state: MailboxState): void {
  const doubts = doubtsOf(state);
  if (doubts.gap) doubts.gap = { ...doubts.gap, atMs: Number.NEGATIVE_INFINITY };
}
