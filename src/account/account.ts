/**
 * The seam between the front ends and everything behind: what one protocol session may know of one
 * user's mail. A session holds an `AccountHandle` from login to logout and one `OpenMailbox` while a
 * mailbox is selected; both are released by whoever got them. Refusals are `MailError`s; `UNAVAILABLE`
 * means that what was asked for is not here and the legacy server cannot give it now.
 */
import type { CopiedUids } from "../mail/copied-uids.ts";
import type { FlagChange } from "../mail/flag-change.ts";
import type { Flags } from "../mail/flags.ts";
import type { EncodedMailboxName, ModSeq, Uid, UidValidity } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import type { NameChange } from "../mail/name-change.ts";
import type { AppendedUid, IncomingMessage, NewMessage } from "../mail/new-message.ts";
import type { NumberRange, UidSet } from "../mail/number-set.ts";
import type { SortKey } from "../mail/sort-key.ts";
import type { ThreadAlgorithm, ThreadNode } from "../mail/thread.ts";
import type { Maildrop } from "./maildrop.ts";

export interface AccountHandle {
  /** The account's canonical name. */
  readonly user: string;
  /** Why the session has to log in again, if so: the account was closed under it. */
  ended(): string | undefined;
  namespaces(signal: AbortSignal): Promise<AccountNamespaces>;
  /** Every name the legacy server lists, as it lists it now (as last seen while it is away). */
  mailboxes(signal: AbortSignal): Promise<readonly ListedMailbox[]>;
  /** LSUB's own answer: may name mailboxes that do not exist. */
  subscriptions(signal: AbortSignal): Promise<readonly ListedMailbox[]>;
  /** Resolves when it is done where the authority is; its refusals are thrown as it words them. */
  changeName(change: NameChange, signal: AbortSignal): Promise<void>;
  /** Room for a message that a client sends; UNAVAILABLE where the disk has none. */
  receive(sizeBytes: number): Promise<IncomingMessage>;
  /** undefined where the new UID is not known for certain. The message was written whole. */
  append(
    target: EncodedMailboxName,
    message: NewMessage,
    signal: AbortSignal,
  ): Promise<AppendedUid | undefined>;
  /** Throws NONEXISTENT. */
  status(name: EncodedMailboxName, options: StatusOptions, signal: AbortSignal): Promise<MailboxStatus>;
  /**
   * Opens a mailbox for one session; answers once its UID list is here and agrees with the legacy
   * server. Throws NONEXISTENT. `onChange` is called synchronously after each committed change.
   */
  open(name: EncodedMailboxName, options: OpenOptions, signal: AbortSignal): Promise<OpenMailbox>;
  /** INBOX for a POP3 session, which is alone with it. Throws INUSE. */
  maildrop(signal: AbortSignal): Promise<Maildrop>;
  /** Idempotent. Open mailboxes of this handle are closed with it. */
  release(): void;
}

export type { AppendedUid, IncomingMessage, NewMessage };

export interface StatusOptions {
  /** HIGHESTMODSEQ is asked for. */
  readonly modSeqs: boolean;
}

export interface PollOptions {
  /** HIGHESTMODSEQ is wanted, too. */
  readonly modSeqs?: boolean;
}

export interface OpenOptions {
  /** EXAMINE: \Recent is not taken from the next session. */
  readonly examine: boolean;
  /** HIGHESTMODSEQ is waited for; otherwise it may not be known yet. */
  readonly modSeqs: boolean;
  readonly onChange: (change: MailboxChange) => void;
  /** Called at the first look, ahead of the UIDs, which take long where there are many. */
  readonly onFirstLook?: ((first: FirstLook) => void) | undefined;
}

/** What is told of a mailbox before its UIDs are here; none of it is \Recent. */
export interface FirstLook
  extends Pick<
    OpenMailbox,
    "uidValidity" | "uidNext" | "flags" | "permanentFlags" | "readOnly" | "firstUnseen"
  > {
  readonly exists: number;
}

export interface ListedMailbox {
  readonly name: EncodedMailboxName;
  readonly separator: string | null;
  readonly attributes: readonly string[];
}

export interface AccountNamespace {
  readonly prefix: string;
  readonly separator: string | null;
}

export interface AccountNamespaces {
  readonly personal: readonly AccountNamespace[] | null;
  readonly otherUsers: readonly AccountNamespace[] | null;
  readonly shared: readonly AccountNamespace[] | null;
}

export interface MailboxStatus {
  readonly messages: number;
  readonly recent: number;
  readonly uidNext: Uid;
  readonly uidValidity: UidValidity;
  readonly unseen: number;
  readonly highestModSeq: ModSeq | undefined;
}

/** What happened to a mailbox, committed; sessions queue it and tell their client when they may. */
export type MailboxChange =
  | { readonly kind: "arrived"; readonly uids: readonly Uid[] }
  | { readonly kind: "expunged"; readonly uids: readonly Uid[] }
  | { readonly kind: "flags"; readonly uids: readonly Uid[] }
  /** Deleted, or its UIDVALIDITY changed: the session cannot go on with this view. */
  | { readonly kind: "gone"; readonly reason: string };

/** How much of a message a command needs. `structure` = BODY and BODYSTRUCTURE. */
export type Need = "flags" | "meta" | "header" | "structure" | "full";

export interface OpenMailbox {
  readonly name: EncodedMailboxName;
  readonly uidValidity: UidValidity;
  /** FLAGS and PERMANENTFLAGS for SELECT. */
  readonly flags: readonly string[];
  readonly permanentFlags: readonly string[];
  /** The user may not change this mailbox: SELECT answers READ-ONLY. */
  readonly readOnly: boolean;
  /** Current values; `uids` is ascending and never changed in place. */
  readonly uids: readonly Uid[];
  readonly uidNext: Uid;
  readonly highestModSeq: ModSeq | undefined;
  /** Sequence number of the first message without \Seen in `uids`, if known; undefined when none. */
  readonly firstUnseen: number | undefined;
  /** UIDs that are \Recent in this session (RFC 3501 2.3.2). */
  readonly recent: ReadonlySet<Uid>;

  /**
   * Makes sure that each of `uids` is present as far as asked for; one that was expunged meanwhile is
   * simply not there afterwards. Goes ahead of the background. Throws UNAVAILABLE.
   */
  require(uids: readonly Uid[], need: Need, signal: AbortSignal): Promise<void>;
  /** Makes the metadata of all messages known whose MODSEQ is above `since`. Throws UNAVAILABLE. */
  requireChanged(since: ModSeq, signal: AbortSignal): Promise<void>;
  /** Of `uids` what was expunged since (others may be among them); undefined where nobody can tell. */
  expungedSince(
    since: ModSeq,
    uids: UidSet,
    signal: AbortSignal,
  ): Promise<readonly NumberRange[] | undefined>;
  /** After `require(…, 'flags')`, and after any other need; undefined when expunged. */
  flagsOf(uid: Uid): Flags | undefined;
  /** MODSEQ that goes with them; undefined where it is not known yet. */
  modSeqOf(uid: Uid): ModSeq | undefined;
  /** After `require(…, 'meta')`; undefined when expunged. */
  meta(uid: Uid): MessageMeta | undefined;
  /** The same, where it can be had of a message of which not all can. */
  internalDateOf(uid: Uid): InternalDate | undefined;
  /** After `require(…, 'header')`: the header block with its blank line, exact bytes. */
  header(uid: Uid): Buffer | undefined;
  /** After `require(…, 'structure')`: BODYSTRUCTURE (extensible) or BODY in wire form. */
  structure(uid: Uid, extensible: boolean): Buffer | undefined;
  /**
   * The message's bytes, pulled ahead of everything when they are not here; resolves when the size is
   * known, which is before all bytes are. undefined when expunged. The caller closes it.
   */
  content(uid: Uid, signal: AbortSignal): Promise<MessageContent | undefined>;
  /** A hint: `content` of these is asked for next, in this order; what is not here is fetched together. */
  prefetch(uids: readonly Uid[]): void;
  /** `UID SEARCH` by the legacy server, for text that is not here; undefined where it cannot. Criteria in wire form. */
  searchRemotely(
    criteria: readonly Buffer[],
    charset: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly Uid[] | undefined>;
  /** `uids` in that order, by the legacy server; undefined where it cannot. Throws UNAVAILABLE. */
  sortRemotely(
    keys: readonly SortKey[],
    uids: readonly Uid[],
    signal: AbortSignal,
  ): Promise<readonly Uid[] | undefined>;
  /** The same for threads. */
  threadRemotely(
    algorithm: ThreadAlgorithm,
    uids: readonly Uid[],
    signal: AbortSignal,
  ): Promise<readonly ThreadNode[] | undefined>;
  /** True when every message is here, so that a search needs nobody else. */
  readonly complete: boolean;
  /**
   * Changes, committed and announced to all sessions when they resolve. They throw the authority's refusal
   * in its words, UNAVAILABLE when nothing was done, and OutcomeUnknown; they go on without the client.
   */
  /** Messages whose MODSEQ is above `unchangedSince` are left alone, and told. */
  store(
    uids: readonly Uid[],
    change: FlagChange,
    signal: AbortSignal,
    unchangedSince?: ModSeq,
  ): Promise<readonly Uid[]>;
  /** Of the messages marked \\Deleted: all, or those of `uids` only. */
  expunge(uids: readonly Uid[] | undefined, signal: AbortSignal): Promise<void>;
  /** undefined where the new UIDs are not known for certain. */
  copy(
    uids: readonly Uid[],
    target: EncodedMailboxName,
    signal: AbortSignal,
  ): Promise<CopiedUids | undefined>;
  move(
    uids: readonly Uid[],
    target: EncodedMailboxName,
    signal: AbortSignal,
  ): Promise<CopiedUids | undefined>;
  /** Brings the mailbox up to date with the legacy server (NOOP, CHECK); does nothing while it is away. */
  poll(signal: AbortSignal, options?: PollOptions): Promise<void>;
  close(): void;
}

/** Proves a password and gives the account; the front ends know no more of logging in. */
export type Login = (request: LoginRequest) => Promise<AccountHandle>;

export interface LoginRequest {
  readonly user: string;
  readonly password: import("../mail/secret.ts").Secret;
  /** SASL authorisation identity where the client gave one that differs; otherwise ''. */
  readonly authorizationId: string;
  readonly peer: Peer;
  readonly signal: AbortSignal;
}

export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly session: string;
  readonly protocol: "imap" | "pop3";
  readonly secure: boolean;
}

export type { Flags };
