/**
 * Messages of a mailbox of which the legacy server cannot give something: it ends the connection, refuses or falls
 * silent when it is asked for it. Known as long as the mailbox is open; fetch-around.ts finds them.
 *
 * What always holds
 * - A message is noted only after it was asked for by itself, on a connection of its own, and more than once.
 * - One that was noted is never again asked for together with others, and not at all for a while.
 */
import { MailError, Unreadable } from "../errors.ts";
import { Crowded } from "../legacy/refusal.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid, UidValidity } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** What was asked for. */
export type Asked = "flags" | "date" | "size" | "metadata" | "header" | "structure" | "content";

export interface UnreadableMessages {
  /** How it ended when it was asked for last; undefined where it may be asked for. */
  failureOf(uid: Uid, asked: Asked): MailError | undefined;
  /** It may take others along: it is to be asked for alone. */
  isSuspect(uid: Uid, asked: Asked): boolean;
  suspects(asked: Asked): readonly Uid[];
  note(uid: Uid, asked: Asked, failure: MailError): void;
  noteRead(uid: Uid, asked: Asked): void;
  /** Known of messages whose metadata cannot be had whole. */
  readonly dates: Map<Uid, InternalDate>;
  /** They may be asked for at once. */
  retry(): void;
  /**
   * A FETCH of many has ended with `left` of them unanswered. Of those for the same that were in flight on one
   * connection only the first is to blame.
   */
  noteBroken(lease: MailboxLease, asked: Asked, left: readonly Uid[]): void;
  /** A delta has ended with a FETCH of these. */
  noteDelta(asked: "flags" | "metadata"): void;
  /** What the last delta that failed has ended with, once. */
  takeDelta(): "flags" | "metadata" | undefined;
  /** Deltas do without metadata: one has broken on them, or they cannot be had of some. */
  readonly asksFlagsOnly: boolean;
  readonly hasBroken: boolean;
  /** Those, once. */
  takeBroken(asked: Asked): readonly Uid[];
}

/** A client that asks for one again and again gets the answer that it got before. */
const restMs = 60_000;

interface Known {
  readonly messages: UnreadableMessages & { readonly clear: () => void };
  /** Under which they have these UIDs. */
  uidValidity: UidValidity | undefined;
}

const known = new WeakMap<MailboxState, Known>();

export function unreadableOf(mailbox: MailboxState): UnreadableMessages {
  const { uidValidity } = mailbox.record;
  const found = known.get(mailbox) ?? { messages: createUnreadable(), uidValidity };
  known.set(mailbox, found);
  if (found.uidValidity !== uidValidity) {
    found.messages.clear();
    found.uidValidity = uidValidity;
  }
  return found.messages;
}

function createUnreadable(): Known["messages"] {
  const byAsked = new Map<Asked, Map<Uid, { readonly failure: MailError; until: number }>>();
  const broken = new Map<Asked, Set<Uid>>();
  let brokenDelta: "flags" | "metadata" | undefined;
  let isWary = false;
  const blamed = new WeakMap<MailboxLease, Set<Asked>>();
  const dates = new Map<Uid, InternalDate>();
  return {
    dates,
    clear() {
      for (const kept of [dates, byAsked, broken]) kept.clear();
      isWary = false;
    },
    failureOf(uid, asked) {
      const noted = byAsked.get(asked)?.get(uid);
      return noted && noted.until > performance.now() ? noted.failure : undefined;
    },
    isSuspect: (uid, asked) => byAsked.get(asked)?.has(uid) ?? false,
    suspects: (asked) => [...(byAsked.get(asked)?.keys() ?? [])],
    note(uid, asked, failure) {
      const noted = byAsked.get(asked) ?? new Map();
      noted.set(uid, { failure, until: performance.now() + restMs });
      byAsked.set(asked, noted);
    },
    noteRead(uid, asked) {
      byAsked.get(asked)?.delete(uid);
    },
    retry() {
      for (const noted of byAsked.values()) for (const one of noted.values()) one.until = 0;
    },
    noteBroken(lease, asked, left) {
      const of = blamed.get(lease) ?? new Set();
      if (left.length === 0 || of.has(asked)) return;
      blamed.set(lease, of.add(asked));
      broken.set(asked, new Set([...(broken.get(asked) ?? []), ...left]));
    },
    noteDelta(asked) {
      brokenDelta = asked;
      isWary ||= asked === "metadata";
    },
    takeDelta() {
      const asked = brokenDelta;
      brokenDelta = undefined;
      return asked;
    },
    get asksFlagsOnly() {
      return isWary || (byAsked.get("metadata")?.size ?? 0) > 0;
    },
    get hasBroken() {
      return broken.size > 0;
    },
    takeBroken(asked) {
      const left = [...(broken.get(asked) ?? [])].sort((a, b) => a - b);
      broken.delete(asked);
      return left;
    },
  };
}

/** A FETCH may have ended so because of a message that it asked for. */
export function mayBeItsFault(error: unknown): error is MailError {
  return error instanceof MailError && !(error instanceof StoreTrouble) && !(error instanceof Crowded);
}

/** A delta's FETCH: where it fails a message may be to blame (see sync-around.ts). */
export async function noting(
  mailbox: MailboxState,
  fetching: Promise<void>,
  asked: "flags" | "metadata",
): Promise<void> {
  try {
    await fetching;
  } catch (error) {
    if (mayBeItsFault(error)) unreadableOf(mailbox).noteDelta(asked);
    throw error;
  }
}

/** Throws where of `uids`, which are not here, some could not be had. What is refused to a client is no outage. */
export function expectReadable(mailbox: MailboxState, asked: Asked, uids: readonly Uid[]): void {
  const unreadable = unreadableOf(mailbox);
  const failures = new Map<Uid, MailError>();
  for (const uid of uids) {
    const failure = unreadable.failureOf(uid, asked);
    if (failure) failures.set(uid, failure);
  }
  for (const [uid, { message, cause }] of failures) {
    const told = new MailError("SERVERBUG", `The old server cannot give UID ${uid}: ${message}`, cause);
    throw new Unreadable(new Set(failures.keys()), told);
  }
}
