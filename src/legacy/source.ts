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

import type { MailError } from "../errors.ts";
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
  /** With `onWanted`: it is held for work after all, at this moment. */
  readonly isWorking?: () => boolean;
  /** It takes long, and would hold up those who share a connection: one of its own, where that costs no waiting. */
  readonly apart?: boolean;
  /** Is about to be deleted or renamed: connections that have it selected are closed before. */
  readonly letsGo?: EncodedMailboxName;
}

export interface MailboxLeaseOptions extends LeaseOptions {
  /** A first look, for which a client is waiting: the server may be left to tell no HIGHESTMODSEQ yet. */
  readonly quick?: boolean;
  /** Selected read-write: for changes, and to learn PERMANENTFLAGS. \Recent is claimed by that there. */
  readonly write?: boolean;
}

export interface MailboxUseOptions extends MailboxLeaseOptions {
  /** A connection that has the mailbox selected already is asked what has happened (NOOP), and serves as it is. */
  readonly asSelected?: boolean;
}

/** One user's legacy IMAP server. */
export interface ImapSource {
  /**
   * Runs `work` with a connection of its own. The connection is taken from the pool or opened (one
   * retry on a fresh connection when a pooled one turns out to be dead before its first answer).
   */
  use<T>(options: LeaseOptions, work: (lease: ImapLease) => Promise<T>): Promise<T>;
  /** Same, with the mailbox selected, read-only unless asked; anew unless `asSelected`. */
  useMailbox<T>(
    name: EncodedMailboxName,
    options: MailboxUseOptions,
    work: (lease: MailboxLease) => Promise<T>,
  ): Promise<T>;
  /**
   * Same, on the one connection that has the mailbox selected for all who share it, as long as any of them does
   * (shared-mailboxes.ts): it is selected only where it is opened first, or was read-only so far.
   */
  shareMailbox<T>(
    name: EncodedMailboxName,
    options: MailboxLeaseOptions,
    work: (lease: MailboxLease) => Promise<T>,
  ): Promise<T>;
  /** The host has no connection left for who only waits: he has to wait for his turn to do so. */
  readonly isCrowded: boolean;
  /** Somebody shares the mailbox now. */
  isShared(name: EncodedMailboxName): boolean;
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
  /** The server refuses LSUB: those that were known stay. */
  readonly refusesLsub?: true;
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
  /** The server tells none, by STATUS neither: it is above what is there, and falls where the highest goes. */
  readonly isUidNextDerived?: true;
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
  /** The message is whole: exactly sizeBytes were written, and the answer goes on behind them as it should. */
  readonly end: () => undefined | Promise<void>;
  /** The server tells NIL for a message that it has. */
  readonly nil?: (uid: Uid) => void;
  /** Asked when all have come: why some are to be asked for again, elsewhere. `fetchBodies` throws it. */
  readonly doubt?: () => Doubt | undefined;
}

export interface Doubt {
  readonly fault: MailError;
  /** What came is not as long as it was said to be: what else has come on that connection may not be right either. */
  readonly isOfLength: boolean;
}

/**
 * Changes of the messages of a mailbox that is selected read-write. They throw the server's refusal with
 * its code and text, and OutcomeUnknown when an answer never came.
 */
export interface MailboxChanges {
  /**
   * What the server answers of the flags is among what it has told (see MailboxTold), of none that were so before;
   * where that is not to be believed, `onFlags` has them. With
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

/** What the server has told of a selected mailbox, unasked or along with the answer to something else. */
export interface MailboxNews {
  /** Flags of messages, in the order in which they were told: of one message the last counts. */
  readonly flags: readonly FlagsOf[];
  /** Sequence numbers of messages of which it told that something has changed, but not what, or not its UID. */
  readonly unnamed: readonly number[] | "any";
  /** How many messages were expunged, and UIDs of others that were: ranges may reach over what was not there. */
  readonly expunged: number;
  readonly vanished: readonly NumberRange[];
  /** How many messages there are now; undefined where nobody has counted them since some have vanished. */
  readonly exists: number | undefined;
  /** FLAGS, where it told others. */
  readonly flagNames: readonly string[] | undefined;
}

/** News that nobody has taken yet, since the mailbox was selected or since they were taken last. */
export interface MailboxTold {
  readonly hasNews: boolean;
  /** As of `MailboxNews`. */
  readonly exists: number | undefined;
  readonly expunged: number;
  readonly vanished: readonly NumberRange[];
  /** Not all that was told of flags can be had by `takeFlags`. */
  readonly isPartial: boolean;
  /** FLAGS and PERMANENTFLAGS, where others were told since it was selected. */
  readonly flagNames: readonly string[] | undefined;
  readonly permanentFlags: readonly string[] | undefined;
  take(): MailboxNews;
  /** Only those: the rest is left for `take`. */
  takeFlags(): readonly FlagsOf[];
}

export interface MailboxLease extends ImapLease, MailboxChanges {
  /** As the mailbox was selected: another object is another selection, and nobody has told what happened in between. */
  readonly examined: Examined;
  /** It was selected for this lease. */
  readonly isNew: boolean;
  /** The server writes fields of its own into messages, and tells the present second of one that has no date. */
  readonly altersMail: boolean;
  /** Others wait, on a server that bears one session of a user's at a time. */
  isWanted(): boolean;
  /** Has the server tell what has happened: `told` has it when this resolves. */
  ask(): Promise<void>;
  readonly told: MailboxTold;
  /**
   * Waits for news until `until`, in IDLE while nothing else is asked (the server needs IDLE). `onNews` is called
   * whenever something was told, and awaited.
   */
  watch(until: AbortSignal, onNews: () => Promise<void>): Promise<void>;
  /** What EXAMINE would tell, of the mailbox as it is selected; by EXAMINE where that cannot be had otherwise. */
  look(): Promise<Examined>;
  /** Selects it once more: what the server says now. */
  examineAgain(): Promise<Examined>;
  /** All UIDs, ascending, held against EXISTS. Uses ESEARCH where there is one. */
  listUids(): Promise<readonly Uid[]>;
  /** Why the last listing was not all, for people; undefined where it was. */
  readonly listingGap: string | undefined;
  /** UID of the last message, for who does not believe UIDNEXT; undefined where it is not told. */
  lastUid(): Promise<Uid | undefined>;
  /**
   * FLAGS, INTERNALDATE, RFC822.SIZE, MODSEQ and EMAILID (where the mailbox has them) of `uids`, in any order.
   * With `changedSince` (needs CONDSTORE) only of messages whose MODSEQ is above it. A UID that the
   * server does not answer is simply not reported. An answer without INTERNALDATE and RFC822.SIZE (an
   * unasked flag update) is not reported either.
   */
  fetchMeta(uids: UidSet, onMeta: (meta: MessageMeta) => void, changedSince?: ModSeq): Promise<void>;
  /** Of `uids` what the server tells of these items, one part after the other. What it tells of none is left out. */
  fetchPartly(
    uids: UidSet,
    items: readonly MetaItem[],
    onPart: (uid: Uid, part: Partial<MessageMeta>) => void,
  ): Promise<void>;
  /** Only UID, FLAGS and MODSEQ (unless it is not wanted: of many messages it takes time): what can change. */
  fetchFlags(
    uids: UidSet,
    onFlags: (change: FlagsOf) => void,
    changedSince?: ModSeq,
    options?: { readonly modSeqs: boolean },
  ): Promise<void>;
  /**
   * Asks for UID, FLAGS and MODSEQ of messages; the answers are among what is `told`, in their place. Messages may be
   * named by sequence number: false where some were expunged meanwhile, and the numbers stood for others.
   */
  tellFlags(messages: { readonly uids: UidSet } | { readonly numbers: readonly number[] }): Promise<boolean>;
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

export type MetaItem = "FLAGS" | "INTERNALDATE" | "RFC822.SIZE";

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
