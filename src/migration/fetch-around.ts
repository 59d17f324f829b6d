/**
 * A FETCH of many messages, among which may be one that the legacy server cannot give: it ends the connection, refuses
 * or falls silent there, and whatever stands behind it does not come either. What came is kept; the rest is asked for
 * in other pieces until the one is found, and noted (unreadable.ts).
 *
 * Servers answer in the order of the mailbox, so the first that is missing is the one to suspect: it is asked for
 * alone, the others behind it together. Where nothing has come at all a server may take all or nothing: if the first
 * is innocent, the others are asked for in halves.
 *
 * A suspect is asked for on a connection of its own: others may break a shared one, and it would break theirs.
 */
import type { MailError } from "../errors.ts";
import { ServerSilent } from "../legacy/server-fault.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MailboxRecord } from "../store/store.ts";
import { type MailboxWork, withMailbox, withMailboxAlone } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { type Asked, mayBeItsFault, unreadableOf } from "./unreadable.ts";
import { isGiven, witnessIn } from "./witness.ts";

export interface FetchAround {
  readonly asked: Asked;
  /** Ascending. */
  readonly uids: readonly Uid[];
  /** A FETCH has left them unanswered: the first of them may be to blame. */
  readonly isBroken?: boolean;
  /** How they are asked for together. */
  readonly work: MailboxWork;
  readonly fetch: (lease: MailboxLease, record: MailboxRecord, uids: readonly Uid[]) => Promise<void>;
  /** It has come, or is not wanted any more. */
  readonly isHere: (uid: Uid) => boolean;
}

type Piece =
  | { readonly kind: "together"; readonly uids: readonly Uid[] }
  /** `behind` it were others, of which nothing came either. */
  | { readonly kind: "alone"; readonly uid: Uid; readonly tries: number; readonly behind: readonly Uid[] };

/** So often it has to fail by itself, each time on a new connection. Silence takes long, and is no accident. */
const triesAlone = 2;
/** So many failures in a row are no message's fault, unless one that is here can be had. */
const maxFailures = 40;

/**
 * Asks for all of `uids` but those that are known not to be had. Throws what is no message's fault: no connection, a
 * full disk, another mailbox of that name.
 */
export async function fetchAround(mailbox: MailboxState, around: FetchAround): Promise<void> {
  const unreadable = unreadableOf(mailbox);
  const { asked, isHere } = around;
  let failures = 0;
  let hasFailed = false;
  let pieces = firstPieces(mailbox, around);
  for (let piece = pieces.shift(); piece; piece = pieces.shift()) {
    const all = piece.kind === "alone" ? [piece.uid] : piece.uids;
    const uids = hasFailed ? all.filter((uid) => !isHere(uid)) : all;
    const failure = uids.length === 0 ? undefined : await ask(mailbox, around, uids, piece.kind);
    if (!failure) {
      failures = 0;
      if (piece.kind === "alone") {
        unreadable.noteRead(piece.uid, asked);
        pieces = [...halvesOf(piece.behind), ...pieces];
      }
      continue;
    }
    hasFailed = true;
    const left = uids.filter((uid) => !isHere(uid));
    failures = left.length < uids.length ? 0 : failures + 1;
    if (failures >= maxFailures) {
      if (!(await isServing(mailbox, around))) throw failure;
      failures = 0;
    }
    const proven =
      piece.kind === "alone" && left.length > 0 && isProven(piece.tries, failure) ? piece.uid : undefined;
    pieces = afterFailure(piece, proven === undefined ? left : [], uids.length, pieces);
    if (proven === undefined) continue;
    unreadable.note(proven, asked, failure);
    mailbox.logger.warn(
      { err: failure, mailbox: mailbox.record.name, uid: proven, asked },
      "the legacy server cannot give this message",
    );
  }
}

/** Something of a message whose bytes are here. */
async function isServing(mailbox: MailboxState, { asked, work }: FetchAround): Promise<boolean> {
  const witness = witnessIn(mailbox, asked);
  if (witness === undefined) return false;
  return withMailboxAlone(mailbox, work, (lease) =>
    isGiven(lease, asked, witness).catch((error: unknown) => {
      if (!mayBeItsFault(error)) throw error;
      return false;
    }),
  );
}

function isProven(tries: number, failure: MailError): boolean {
  return tries + 1 >= triesAlone || failure instanceof ServerSilent;
}

/** Suspects by themselves, after all others. */
function firstPieces(mailbox: MailboxState, { asked, uids, isBroken = false }: FetchAround): Piece[] {
  const unreadable = unreadableOf(mailbox);
  if (unreadable.suspects(asked).length === 0 && !isBroken) return together(uids);
  const open = uids.filter((uid) => unreadable.failureOf(uid, asked) === undefined);
  const others = open.filter((uid) => !unreadable.isSuspect(uid, asked));
  const suspects = [
    ...open.filter((uid) => unreadable.isSuspect(uid, asked)),
    ...(isBroken ? others.splice(0, 1) : []),
  ];
  // Of those that were noted once it needs no more than to fail again.
  const triesOf = (uid: Uid): number => (unreadable.isSuspect(uid, asked) ? triesAlone - 1 : 0);
  return [...together(others), ...suspects.map((uid) => alone(uid, [], triesOf(uid)))];
}

function afterFailure(piece: Piece, left: readonly Uid[], count: number, others: readonly Piece[]): Piece[] {
  const [first, ...rest] = left;
  if (piece.kind === "alone") {
    if (first === undefined) return [...together(piece.behind), ...others];
    return [{ ...piece, tries: piece.tries + 1 }, ...others];
  }
  if (first === undefined) return [...others];
  // Some have come: it was the next. Whoever waits for the others has them first.
  if (left.length < count) return [...together(rest), ...others, alone(first)];
  return [alone(first, rest), ...others];
}

function together(uids: readonly Uid[]): Piece[] {
  return uids.length === 0 ? [] : [{ kind: "together", uids }];
}

function alone(uid: Uid, behind: readonly Uid[] = [], tries = 0): Piece {
  return { kind: "alone", uid, tries, behind };
}

function halvesOf(uids: readonly Uid[]): Piece[] {
  const middle = uids.length >>> 1;
  return [...together(uids.slice(0, middle)), ...together(uids.slice(middle))];
}

/** How it ended, where one of the messages may be to blame. */
async function ask(
  mailbox: MailboxState,
  { work, fetch }: FetchAround,
  uids: readonly Uid[],
  kind: Piece["kind"],
): Promise<MailError | undefined> {
  let failure: unknown;
  const withLease = kind === "alone" ? withMailboxAlone : withMailbox;
  try {
    await withLease(mailbox, work, async (lease, record) => {
      failure = undefined;
      await fetch(lease, record, uids).catch((error: unknown) => {
        failure = error;
        throw error;
      });
    });
    return undefined;
  } catch (error) {
    if (error !== failure || !mayBeItsFault(error) || mailbox.signal.aborted) throw error;
    return error;
  }
}
