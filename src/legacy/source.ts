/**
 * The seam between the migration and an old IMAP server: what can be asked of it, in terms of one user.
 *
 * Glossary
 * - source: all connections of one user to one legacy host, within the host's budget.
 * - lease: one connection, held exclusively for the length of a callback. Nobody waits for a second
 *   lease while holding one.
 * - priority: `interactive` leases go ahead of `background` ones, and one connection of the user's
 *   budget is never given to `background`.
 *
 * Failures are `MailError`s: `AUTHENTICATIONFAILED` with the server's own text when it refuses the
 * login, `UNAVAILABLE` when it cannot be reached, drops the connection or answers nonsense (a later try
 * may do), `NONEXISTENT` for a mailbox it does not have, `CANNOT` for anything else it refuses.
 */

import type { CopiedUids } from "../mail/copied-uids.ts";
import type { FlagChange } from "../mail/flag-change.ts";
import type { EncodedMailboxName, ModSeq, Uid, UidValidity } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import type { NameChange } from "../mail/name-change.ts";
import type { AppendedUid } from "../mail/new-message.ts";
import type { NumberRange, UidSet } from "../mail/number-set.ts";
import type { SortKey } from "../mail/sort-key.ts";
import type { ThreadAlgorithm, ThreadNode } from "../mail/thread.ts";

export type Priority = "interactive" | "background";

export interface LeaseOptions {
  readonly priority: Priority;
  readonly signal: AbortSignal;
  /** Others wait for a connection, and this one is held for no work: it should be given back. */
  readonly onWanted?: () => void;
  /** With `onWanted`: no client has asked for what is waited for, and it gives way to those that one has. */
  readonly isStandby?: () => boolean;
}

export interface MailboxLeaseOptions extends LeaseOptions {
  /** A first look, for which a client is waiting: the server may be left to tell no HIGHESTMODSEQ yet. */
  readonly quick?: boolean;
  /** Selected read-write: for changes, and to learn PERMANENTFLAGS. \Recent is claimed by that there. */
  readonly write?: boolean;
}

/** One user's legacy IMAP server. */
export interface ImapSource {
  /**
   * Runs `work` with a connection of its own. The connection is taken from the pool or opened (one
   * retry on a fresh connection when a pooled one turns out to be dead before its first answer).
   */
  use<T>(options: LeaseOptions, work: (lease: ImapLease) => Promise<T>): Promise<T>;
  /** Same, with the mailbox selected, read-only unless asked; `examined` is what the server said just now. */
  useMailbox<T>(
    name: EncodedMailboxName,
    options: MailboxLeaseOptions,
    work: (lease: MailboxLease) => Promise<T>,
  ): Promise<T>;
  /**
   * Why a connection could not be had lately, or how else the server has misbehaved, for people: what needed it may
   * have been done on another.
   */
  trouble(): string | undefined;
  /** Closes all connections; leases in use are broken. */
  close(): Promise<void>;
}

export interface ListedName {
  readonly name: EncodedMailboxName;
  /** One byte as latin1, or null for a flat name (NIL). */
  readonly separator: string | null;
  /** As sent: `\HasChildren`, `\Noselect`, `\Sent`, … */
  readonly attributes: readonly string[];
}

export interface Namespace {
  /** Latin1 bytes of the prefix, trailing separator included. */
  readonly prefix: string;
  readonly separator: string | null;
}

/** RFC 2342; null where the server says NIL. */
export interface Namespaces {
  readonly personal: readonly Namespace[] | null;
  readonly otherUsers: readonly Namespace[] | null;
  readonly shared: readonly Namespace[] | null;
}

/** One look at all names: NAMESPACE, LIST "" "*", LSUB "" "*", in as few round trips as possible. */
export interface Listing {
  readonly namespaces: Namespaces;
  readonly mailboxes: readonly ListedName[];
  readonly subscriptions: readonly ListedName[];
}

/** Answer of STATUS; what the server did not send is undefined. */
export interface LegacyStatus {
  readonly messages: number | undefined;
  readonly uidNext: Uid | undefined;
  readonly uidValidity: UidValidity | undefined;
  readonly unseen: number | undefined;
  readonly highestModSeq: ModSeq | undefined;
}

/** What EXAMINE (or SELECT) told. */
export interface Examined {
  /** undefined where it is 0 or not told, by STATUS neither: no UID is good for longer than the session there. */
  readonly uidValidity: UidValidity | undefined;
  /** Some servers (Courier) send none on SELECT: then it was asked by STATUS. */
  readonly uidNext: Uid;
  readonly exists: number;
  /** Sequence number of the first unseen message as sent, undefined when the server sent none. */
  readonly firstUnseen: number | undefined;
  readonly flags: readonly string[];
  readonly permanentFlags: readonly string[];
  /** SELECT was answered READ-ONLY, or it was an EXAMINE. */
  readonly readOnly: boolean;
  /** undefined without CONDSTORE, with NOMODSEQ for this mailbox, or as yet (see `quick`). */
  readonly highestModSeq: ModSeq | undefined;
  /** The server has none for this mailbox. */
  readonly hasNoModSeqs: boolean;
}

export interface MessageToAppend {
  readonly content: MessageContent;
  readonly flags: readonly string[];
  readonly internalDate: InternalDate | undefined;
}

export interface ImapLease {
  readonly capabilities: ReadonlySet<string>;
  /** Throws the server's refusal with its code and text, OutcomeUnknown when the answer never came. */
  changeName(change: NameChange): Promise<void>;
  /** undefined where the server does not tell its UID. Refusals as for `changeName`. */
  append(target: EncodedMailboxName, message: MessageToAppend): Promise<AppendedUid | undefined>;
  listing(): Promise<Listing>;
  /** Throws NONEXISTENT when the server answers NO. */
  status(name: EncodedMailboxName): Promise<LegacyStatus>;
}

/** Receives one message's bytes as they arrive. A rejected promise breaks the lease's connection. */
export interface BodySink {
  /** Called once, before the first `write`. */
  readonly begin: (uid: Uid, sizeBytes: number) => void;
  /** May return a promise to hold the reader back (back-pressure). Chunks are not reused afterwards. */
  readonly write: (chunk: Buffer) => undefined | Promise<void>;
  /** The message is whole: exactly sizeBytes were written. */
  readonly end: () => undefined | Promise<void>;
}

/**
 * Changes of the messages of a mailbox that is selected read-write. They throw the server's refusal with
 * its code and text, and OutcomeUnknown when an answer never came.
 */
export interface MailboxChanges {
  /**
   * Tells the flags as they are afterwards; also when it was refused for some, before it throws. With
   * `unchangedSince` (needs MODSEQs) messages that have changed since are left alone, and told.
   */
  store(
    uids: UidSet,
    change: FlagChange,
    onFlags: (change: FlagsOf) => void,
    unchangedSince?: ModSeq,
  ): Promise<readonly Uid[]>;
  /** Of those marked \Deleted: all, or only `uids`, for which the server needs UIDPLUS. */
  expunge(uids?: UidSet): Promise<void>;
  /** undefined where the server does not tell. */
  copy(uids: UidSet, target: EncodedMailboxName): Promise<CopiedUids | undefined>;
  /** The server needs MOVE. */
  move(uids: UidSet, target: EncodedMailboxName): Promise<CopiedUids | undefined>;
}

export interface MailboxLease extends ImapLease, MailboxChanges {
  readonly examined: Examined;
  /** Others wait, on a server that bears one session of a user's at a time. */
  isWanted(): boolean;
  /** Waits for news of the mailbox (the server needs IDLE); `until` ends it in good order. */
  idle(until: AbortSignal): Promise<void>;
  /** Selects it once more: what the server says now. */
  examineAgain(): Promise<Examined>;
  /** All UIDs, ascending. Uses ESEARCH where there is one. */
  listUids(): Promise<readonly Uid[]>;
  /**
   * FLAGS, INTERNALDATE, RFC822.SIZE, MODSEQ and EMAILID (where the mailbox has them) of `uids`, in any order.
   * With `changedSince` (needs CONDSTORE) only of messages whose MODSEQ is above it. A UID that the
   * server does not answer is simply not reported. An answer without INTERNALDATE and RFC822.SIZE (an
   * unasked flag update) is not reported either.
   */
  fetchMeta(uids: UidSet, onMeta: (meta: MessageMeta) => void, changedSince?: ModSeq): Promise<void>;
  /** Only UID, FLAGS and MODSEQ: what can change. */
  fetchFlags(uids: UidSet, onFlags: (change: FlagsOf) => void, changedSince?: ModSeq): Promise<void>;
  /** Of `uids` what was expunged since; undefined where the server cannot tell (it needs QRESYNC). */
  vanishedSince(uids: UidSet, since: ModSeq): Promise<readonly NumberRange[] | undefined>;
  /** The header block, `BODY.PEEK[HEADER]`, blank line included, exact bytes. */
  fetchHeaders(uids: UidSet, onHeader: (uid: Uid, header: Buffer) => void): Promise<void>;
  /** The raw bytes of the attributes BODY and BODYSTRUCTURE, as sent. */
  fetchStructures(uids: UidSet, onStructure: (uid: Uid, structure: RawStructure) => void): Promise<void>;
  /** Whole messages, `BODY.PEEK[]`, streamed one after the other in the order the server sends them. */
  fetchBodies(uids: UidSet, sink: BodySink): Promise<void>;
  /** In that order; undefined where the server cannot tell. */
  sort(keys: readonly SortKey[], uids: UidSet): Promise<readonly Uid[] | undefined>;
  thread(algorithm: ThreadAlgorithm, uids: UidSet): Promise<readonly ThreadNode[] | undefined>;
  /** Those marked \Deleted. */
  listDeleted(): Promise<readonly Uid[]>;
  /**
   * `UID SEARCH` with criteria already in wire form, pieces between literals kept apart; undefined where the
   * server's answer is not to be believed.
   */
  search(criteria: readonly Buffer[], charset?: string): Promise<readonly Uid[] | undefined>;
}

export interface FlagsOf {
  readonly uid: Uid;
  readonly flags: MessageMeta["flags"];
  readonly modSeq: ModSeq;
}

export interface RawStructure {
  /** The parenthesised list after `BODY`. */
  readonly body: Buffer;
  /** The parenthesised list after `BODYSTRUCTURE`. */
  readonly bodyStructure: Buffer;
}
