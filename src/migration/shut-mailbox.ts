/**
 * Mailboxes that the old server lists and does not open: it says NO to SELECT, or closes the connection there. Kept in
 * the sidecar, so that an operator can decide on one whose server is not asked at the moment.
 *
 * What always holds
 * - A mailbox is shut only when it was tried by itself, too, and the server answered something else right behind it.
 * - One that opens is not shut any more.
 */
import { isLasting, isUnavailable, MailError } from "../errors.ts";
import { Crowded } from "../legacy/refusal.ts";
import type { Uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import type { MailboxState } from "./mailbox-state.ts";

export interface ShutMailbox {
  /** The old server's words, or what it does. */
  readonly reason: string;
  readonly tries: number;
  /** undefined where STATUS does not tell either. */
  readonly there: Extent | undefined;
}

/** How much is in a mailbox: what may be told of it where it cannot be opened. */
export interface Extent {
  readonly messages: number;
  readonly uidNext?: Uid | undefined;
}

type Place = Pick<MailboxState, "store" | "record">;

const keyOf = ({ id }: MailboxRecord): string => `shut:${id}`;

export function shutOf({ store, record }: Place): ShutMailbox | undefined {
  const kept = store.readSetting(keyOf(record)) || undefined;
  return kept === undefined ? undefined : (JSON.parse(kept) as ShutMailbox);
}

function keep(store: AccountStore, record: MailboxRecord, shut: ShutMailbox | undefined): void {
  store.writeSetting(keyOf(record), shut ? JSON.stringify(shut) : "");
}

export function noteOpened({ store, record }: Place): void {
  if (shutOf({ store, record })) keep(store, record, undefined);
}

/** How often one that the server does not refuse in words is tried by itself. */
const maxSilentTries = 3;

/** After work on the mailbox has failed with `error`: whether it is because the server does not open it. */
export async function noteIfShut(state: MailboxState, error: unknown): Promise<boolean> {
  if (!mayBeShut(error) || !(await isListed(state))) return false;
  const { store, record, source, signal } = state;
  const isSilent = isUnavailable(error);
  const most = isSilent ? maxSilentTries : 1;
  let reason = error.message;
  for (let tries = 0; tries < most; tries++) {
    const failure = await failureOf(
      source.useMailbox(record.name, { priority: "background", signal }, async () => undefined),
    );
    if (!mayBeShut(failure)) return false;
    reason = failure.message;
  }
  const there = larger(await extentThere(state), await extentThere(state));
  if (isSilent && !(await isListed(state))) return false;
  keep(store, record, { reason, tries: (shutOf(state)?.tries ?? 0) + most + 1, there });
  return true;
}

/** Of two answers the one that tells more: that nothing is there is believed only where both say so. */
function larger(one: Extent | undefined, other: Extent | undefined): Extent | undefined {
  if (!one || !other) {
    const told = one ?? other;
    return told && isUnused(told) ? undefined : told;
  }
  const isMore = one.messages > other.messages || (isUnused(other) && !isUnused(one));
  return isMore ? one : other;
}

/** Nothing is in it, nor has ever been. */
export function isUnused({ messages, uidNext }: Extent): boolean {
  return messages === 0 && uidNext === 1;
}

/** The server is there, and has it among its mailboxes. */
async function isListed({ source, record, signal }: MailboxState): Promise<boolean> {
  const listing = await unlessFailed(
    source.use({ priority: "background", signal }, (lease) => lease.listing()),
    signal,
  );
  return listing?.mailboxes.some(({ name }) => name === record.name) === true;
}

/** What STATUS tells now; undefined where it does not. */
export async function extentThere(
  { source, record, signal }: MailboxState,
  waiting: AbortSignal = signal,
): Promise<Extent | undefined> {
  const told = await unlessFailed(
    source.use({ priority: "background", signal: waiting }, (lease) => lease.status(record.name)),
    waiting,
  );
  return told?.messages === undefined ? undefined : { messages: told.messages, uidNext: told.uidNext };
}

async function unlessFailed<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (signal.aborted || !(error instanceof MailError)) throw error;
    return undefined;
  }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** As it is told by now. */
export function noteExtent({ store, record }: Place, there: Extent | undefined): void {
  const shut = shutOf({ store, record });
  if (shut) keep(store, record, { ...shut, there: there ?? shut.there });
}

/** Not the disk's trouble, nor a server that wants to be asked less. */
function mayBeShut(error: unknown): error is MailError {
  if (error instanceof StoreTrouble || error instanceof Crowded) return false;
  return isLasting(error) || isUnavailable(error);
}
