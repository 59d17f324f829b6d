/**
 * Mail that still arrives at the legacy server after a cutover: it is brought over, each message once, whatever cuts
 * in. By IMAP, what was there at the cutover is known by UIDNEXT of that moment (by POP3 alone: pop3-sweep.ts).
 */
import { isLasting, MailError } from "../errors.ts";
import type { ImapSource, MailboxLease } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import { type Uid, uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { addMessages } from "./add-local-messages.ts";
import {
  broughtOverAs,
  cutOverAt,
  isRollingBack,
  noteBroughtOver,
  readMark,
  writeMark,
} from "./cutover-marks.ts";
import { fetchStraggler } from "./fetch-straggler.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { removedHere } from "./removed-here.ts";
import { shutOf } from "./shut-mailbox.ts";
import { mayBeItsFault } from "./unreadable.ts";

/** Opens a mailbox here. */
export type OpenHere = (record: MailboxRecord) => Promise<MailboxMirror>;

export interface Sweep {
  /** Looks in the background, if it has not looked a moment ago. */
  wake(mailbox: OpenHere): void;
  /** Looks no more until `resume`; resolves when no look is under way. */
  rest(): Promise<void>;
  resume(): void;
  /** Before the store is closed. */
  close(): Promise<void>;
}

/** Brings over what has come; how many messages. */
export type Look = (mailbox: OpenHere, signal: AbortSignal) => Promise<number>;

export interface SweepParts {
  readonly store: AccountStore;
  readonly look: Look;
  /** Closed with the sweep. */
  readonly source: Pick<ImapSource, "close">;
  readonly logger: Logger;
  /** For so many days after the cutover. */
  readonly days: number;
}

interface SweepOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly logger: Logger;
  readonly mailbox: OpenHere;
  readonly signal: AbortSignal;
}

const pauseMs = 60_000;
const dayMs = 24 * 60 * 60_000;

export function createSweep({ store, look, source, logger, days }: SweepParts): Sweep {
  const closing = new AbortController();
  const { signal } = closing;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<unknown> | undefined;
  let isResting = false;
  let lastFailure: string | undefined;
  const noteFailure = (error: unknown): void => {
    if (signal.aborted) return;
    const told = String(error);
    // Once: it is tried again each minute.
    if (told !== lastFailure)
      logger.warn({ err: error }, "the legacy server cannot be looked at for new mail");
    lastFailure = told;
  };
  return {
    async rest() {
      isResting = true;
      await running;
    },
    resume() {
      isResting = false;
    },
    wake(mailbox) {
      if (isResting) return;
      const since = cutOverAt(store);
      if (since === undefined || Date.now() > since + days * dayMs || isRollingBack(store)) return;
      if (running || signal.aborted || performance.now() < lookedAt + pauseMs) return;
      lookedAt = performance.now();
      running = look(mailbox, signal)
        .then((messages) => {
          lastFailure = undefined;
          if (messages > 0) logger.info({ messages }, "mail that came to the legacy server was brought over");
        })
        .catch(noteFailure)
        .finally(() => {
          running = undefined;
        });
    },
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "the account is being closed"));
      await running;
      await source.close();
    },
  };
}

/** In every mailbox that was there at the cutover. One's trouble is not the others'. */
export function imapLook(parts: Pick<SweepOptions, "store" | "source" | "logger">): Look {
  return (mailbox, signal) => sweepStragglers({ ...parts, mailbox, signal });
}

async function sweepStragglers(options: SweepOptions): Promise<number> {
  const { store, source, logger, signal } = options;
  let count = 0;
  for (const record of store.mailboxes()) {
    const mark = readMark(store, record.id);
    if (!mark) continue;
    const missed: Missed = { failures: 0, byUid: new Map() };
    try {
      const target = await options.mailbox(record);
      // One that cannot be had may have taken the connection with it: the others come on the next.
      for (let before = -1; before < missed.failures && missed.failures < maxFailures; ) {
        before = missed.failures;
        count += await source.useMailbox(mark.name, { priority: "background", signal }, (lease) =>
          sweepMailbox(options, target, lease, missed),
        );
      }
    } catch (error) {
      if (!isLasting(error) && !shutOf({ store, record })) throw error;
      logger.warn({ err: error, mailbox: record.name }, "the legacy server's mailbox could not be looked at");
    }
  }
  return count;
}

/** Messages of one mailbox that could not be had at this look, and how often; the next look asks for them again. */
interface Missed {
  failures: number;
  readonly byUid: Map<Uid, number>;
}

/** On two connections: what came twice, the same, is believed. */
const triesOfOne = 2;
/** Where there are more, the others wait for the next look. */
const maxFailures = 40;

async function sweepMailbox(
  options: SweepOptions,
  target: MailboxMirror,
  lease: MailboxLease,
  missed: Missed,
): Promise<number> {
  const { store, logger, signal } = options;
  const { id } = target.state.record;
  const mark = readMark(store, id);
  if (!mark) return 0;
  if (lease.examined.uidValidity !== mark.uidValidity) {
    logger.warn(
      { mailbox: mark.name },
      "UIDVALIDITY has changed at the legacy server: nothing is brought over",
    );
    return 0;
  }
  if (lease.examined.uidNext <= mark.next) return 0;
  const arrived = (await lease.listUids()).filter((one) => one >= mark.next);
  // What is left out would be below the mark.
  if (lease.listingGap !== undefined) throw new MailError("UNAVAILABLE", lease.listingGap);
  const isHere = broughtOver(store, target.state);
  let count = 0;
  for (const one of arrived) {
    signal.throwIfAborted();
    const tries = missed.byUid.get(one) ?? 0;
    if (!isHere(one) && tries < triesOfOne) {
      try {
        await bringOver(store, target, lease, one);
      } catch (error) {
        if (!mayBeItsFault(error) || signal.aborted) throw error;
        missed.failures++;
        missed.byUid.set(one, tries + 1);
        logger.error({ err: error, mailbox: mark.name, uid: one }, "new mail there cannot be brought over");
        return count;
      }
      count++;
      missed.byUid.delete(one);
    }
    // Not past one that is still to come: what is above it is known by its own note.
    if (missed.byUid.size === 0) writeMark(store, id, { ...mark, next: uid(one + 1) });
  }
  return count;
}

/** Tells of UIDs of the legacy server whether the message is here, or was, under another UID. */
export function broughtOver(store: AccountStore, { record, table }: MailboxState): (from: Uid) => boolean {
  const isRemoved = removedHere(store, record);
  return (from) => {
    const here = broughtOverAs(store, record.id, from);
    return here !== undefined && (table.get(here) !== undefined || isRemoved(here));
  };
}

/**
 * One message of the legacy server becomes one here, once, whatever cuts in; none where it has been expunged there
 * meanwhile. Throws where it cannot be had.
 */
export async function bringOver(
  store: AccountStore,
  target: MailboxMirror,
  lease: MailboxLease,
  from: Uid,
): Promise<void> {
  const message = await fetchStraggler(store, target.state.record.id, lease, from);
  if (!message) return;
  const { flags, internalDate, incoming } = message;
  const content = incoming.open();
  try {
    const addition = { flags, internalDate, sizeBytes: content.sizeBytes, bytes: { content } };
    await addMessages(store, target, [addition], (here) =>
      noteBroughtOver(store, target.state.record.id, from, here),
    );
  } finally {
    content.close();
    incoming.discard();
  }
}
