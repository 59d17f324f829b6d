/**
 * The maildrop as POP3 sees it (RFC 1939): the messages of one moment, in a lasting order, each with a UIDL that
 * never changes. One session at a time has it (RFC 1939 4).
 */
import { MailError } from "../errors.ts";
import type { Uidl } from "../mail/ids.ts";
import type { TakeBytes } from "../mail/send-message.ts";
import type { Mirror } from "../migration/mirror.ts";
import { filedMaildrop } from "./filed-maildrop.ts";
import { relayedMaildrop } from "./relayed-maildrop.ts";

export interface MaildropMessage {
  readonly uidl: Uidl;
  readonly sizeBytes: number;
}

export interface Maildrop {
  /** As it was when the session began. */
  readonly messages: readonly MaildropMessage[];
  /**
   * Gives the bytes of a message, or its header and so many lines of its body, to `take`; false where it was
   * expunged meanwhile.
   */
  read(
    message: MaildropMessage,
    lines: number | undefined,
    take: TakeBytes,
    signal: AbortSignal,
  ): Promise<boolean>;
  /**
   * The client has said QUIT: those that it has read are marked, those that it has deleted are removed for good, here
   * and on the legacy server.
   */
  update(changes: MaildropChanges, signal: AbortSignal): Promise<void>;
  /** Idempotent. */
  close(): void;
}

export interface MaildropChanges {
  readonly read: readonly MaildropMessage[];
  readonly deleted: readonly MaildropMessage[];
}

/** Of one account. */
export interface MaildropLock {
  isHeld: boolean;
  /** The session that has it is served by the old server. */
  isRelayed?: boolean;
}

export interface Pop3Options {
  /** For messages of which no UIDL was ever shown; what was shown once stays. */
  readonly uidlFormat: string;
  /** What was read is \Seen for IMAP. */
  readonly markSeen: boolean;
}

export interface MaildropOptions extends Pop3Options {
  readonly mirror: Mirror;
  readonly lock: MaildropLock;
  readonly signal: AbortSignal;
}

/** Throws INUSE, and UNAVAILABLE where the messages cannot be told for certain. */
export async function openMaildrop(options: MaildropOptions): Promise<Maildrop> {
  const { lock } = options;
  if (lock.isHeld) throw new MailError("INUSE", "The maildrop is in use by another session");
  lock.isHeld = true;
  let isOpen = true;
  const release = (): void => {
    if (isOpen) {
      lock.isHeld = false;
      lock.isRelayed = false;
    }
    isOpen = false;
  };
  try {
    const maildrop = await maildropOf(options);
    return {
      ...maildrop,
      close() {
        maildrop.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

async function maildropOf(options: MaildropOptions): Promise<Maildrop> {
  const { mirror, signal, lock } = options;
  if (!mirror.maildrop) return filedMaildrop(options, await mirror.store.maildrop.entries(), true);
  const opened = await mirror.maildrop.open(signal);
  lock.isRelayed = opened.kind === "theirs";
  return opened.kind === "ours"
    ? filedMaildrop(options, opened.entries, opened.hasOthers)
    : relayedMaildrop(options, opened);
}
