/**
 * What is known here of one mailbox, and the only ways to change it. The parts of the mirror (sync, the
 * pulls) share one state per mailbox; a change is committed to the table and the store first and
 * announced afterwards, so that whoever hears of it finds it done.
 *
 * What always holds
 * - `table.uids` is one listing of the legacy server, whole: no UID is shown while one below is unknown.
 * - `record.uidNext` never goes down under one UIDVALIDITY.
 * - `record.highestModSeq` is raised only with the delta that leads up to it. Where MODSEQs are counted here
 *   (see mod-seqs.ts) it may be ahead of what was written.
 */

import type { Examined, FlagsOf, ImapSource } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { ModSeq, Uid, UidValidity } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import type { DeletionBrake } from "./deletion-brake.ts";
import type { KnownEarly } from "./early-flags.ts";
import type { MessageTable } from "./message-table.ts";

/** Committed changes of a mailbox. */
export type MailboxEvent =
  | { readonly kind: "arrived"; readonly uids: readonly Uid[] }
  | { readonly kind: "expunged"; readonly uids: readonly Uid[] }
  | { readonly kind: "flags"; readonly uids: readonly Uid[] }
  | { readonly kind: "gone"; readonly reason: string };

export interface MailboxState {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly logger: Logger;
  /** Lives as long as the account is open: for work that several askers share. */
  readonly signal: AbortSignal;
  readonly record: MailboxRecord;
  readonly table: MessageTable;
  /** The table is a whole listing of the legacy server, made since the account was opened or kept. */
  readonly listed: boolean;
  /** Sequence number of the first unseen message as the last EXAMINE told, while metadata are missing. */
  readonly firstUnseenHint: number | undefined;
  /** Why this mailbox is not migrated further, for `status`. */
  readonly problem: string | undefined;
  /**
   * The legacy server tells no UIDVALIDITY: its messages are shown under one of our own that holds for this
   * opening of the account, and none of them is kept.
   */
  readonly isTransient: boolean;

  /** Deletions that are not believed. */
  readonly brake: DeletionBrake;

  /** What is known of the flags of messages that are `remote`. */
  readonly early: KnownEarly;

  /** MODSEQs are counted here, and none of the legacy server's are taken. */
  readonly countsModSeqs: boolean;

  /** The selection on the legacy server of which all that was told is taken in; undefined before the first look. */
  readonly followed: Examined | undefined;
  follow(selection: Examined | undefined): void;
  /** When the legacy server was last asked what has happened (`performance.now()`, before it was asked). */
  readonly askedAt: number;
  noteAsked(at: number): void;

  /** A client has it selected read-write: so it is selected for all that is asked of it. */
  isSelected: boolean;

  /** What SELECT said last: the user may not change this mailbox. */
  readonly readOnly: boolean;

  /** `announceGone` was called, for good. */
  readonly isGone: boolean;

  subscribe(listener: (event: MailboxEvent) => void): () => void;
  /**
   * One at a time: deltas and changes of the mailbox. Whoever waits here has his connection already, and
   * whoever is inside waits for no other. `waited` tells that others were inside since the call.
   */
  exclusive<T>(work: (waited: boolean) => Promise<T>): Promise<T>;
  /** Beside others that share it, but not beside `exclusive`: for changes whose answers tell all that they do. */
  shared<T>(work: () => Promise<T>): Promise<T>;
  noteReadOnly(readOnly: boolean): void;
  /** The legacy server has no MODSEQs for this mailbox. */
  countModSeqs(uidValidity: UidValidity): void;
  /** Local: for messages that are about to be added; it is HIGHESTMODSEQ when they are. */
  nextModSeq(): ModSeq;
  commitPermanentFlags(flags: readonly string[]): void;
  /** Local: what FLAGS tells. */
  commitFlagNames(flags: readonly string[]): void;
  /** There may be room on the disk again for what was served without being stored. */
  writeUnwritten(): void;
  commitListing(listing: CommittedListing): void;
  /** Metadata of messages that were `remote`; `asked` is the record when they were asked for. */
  commitMeta(asked: MailboxRecord, metas: readonly MessageMeta[]): void;
  /** Flags of messages that are `remote`, fetched for their own sake; `asked` as above. */
  commitEarlyFlags(asked: MailboxRecord, fetched: readonly FlagsOf[]): void;
  commitFlags(changes: readonly FlagsOf[]): void;
  /**
   * What the server has told of the selection that is followed: flags in the order in which they were told, and
   * messages that have arrived, ascending. False, and nothing is done, where their MODSEQs do not follow on what is
   * known: then something has changed that was not told.
   */
  commitTold(flags: readonly FlagsOf[], arrived: readonly MessageMeta[]): boolean;
  /** Messages that were filed, each with the metadata it was filed under. */
  commitFiles(asked: MailboxRecord, filed: readonly FiledMessage[]): void;
  /** Local: takes `count` UIDs for good, from `least` on; the first of them. */
  reserveUids(count: number, least?: Uid): Uid;
  /** Local: messages that were added, ascending, above all others. */
  commitAdded(messages: readonly StoredMessage[]): void;
  /** Local: before messages are removed, so that what has left is known whatever comes in between. */
  logExpunged(uids: readonly Uid[], cause: RemovalCause): void;
  /** Local: messages that were removed. */
  commitRemoved(uids: readonly Uid[]): void;
  /** The mailbox goes on under another name. */
  commitName(renamed: MailboxRecord): void;
  /** The message's file is gone or damaged: its bytes have to be fetched once more. */
  commitLost(uid: Uid): void;
  /** Nothing is known of them any more but their UIDs. */
  commitForgotten(uids: readonly Uid[]): void;
  /** The legacy server has made a new mailbox of that name: everything known of the old one is dropped. */
  restart(uidValidity: UidValidity): Promise<void>;
  /** Makes it transient, or begins anew with one that is; under a new UIDVALIDITY, which is told. */
  serveUnkept(): Promise<UidValidity>;
  /**
   * The legacy server gives other messages under the same UIDVALIDITY: the mailbox begins anew under one made here.
   * Of what was here, `lost` is set aside until somebody decides.
   */
  showAnew(lost: readonly Uid[]): Promise<void>;
  /** Somebody has decided that the migration of this mailbox goes on. */
  forgetProblem(): void;
  /** The mailbox is not on the legacy server any more; unless it is for good, it may come back as it was. */
  announceGone(reason: string, isForGood?: boolean): void;
  /**
   * All that the legacy server has told of it is here, written down and believed: it could become local. Files of
   * expunged messages may still have to go, see `removed`.
   */
  readonly isSettled: boolean;
  /** Resolves when no removal of files is under way. */
  removed(): Promise<void>;
  /** Mailferry has the last word from now on: of a mailbox that is settled, by who is alone with it. */
  becomeLocal(): void;
  readonly isLocal: boolean;
  /**
   * The legacy server has the last word again, and has been given back what was local. `modSeqs`: whether its MODSEQs
   * are above ours; where they are not, they go on being counted here.
   */
  becomeMirrored(modSeqs: "theirs" | "counted"): void;
  /** Another mirror has the mailbox from now on, with its signal, and whom it asks and tells. */
  adopt(next: Required<Pick<MailboxStateOptions, "signal" | "source" | "onRemoving">>): void;
}

/** Somebody wants it, its file is gone, or it has left at the old POP3 server. */
export type RemovalCause = "wanted" | "lost" | "left";

export type OnRemoving = (mailbox: MailboxRecord, uids: readonly Uid[]) => void;

export interface FiledMessage {
  readonly meta: MessageMeta;
  readonly fileName: string;
}

export interface CommittedListing {
  readonly uids: readonly Uid[];
  readonly arrived: readonly Uid[];
  readonly vanished: readonly Uid[];
  readonly flagChanges: readonly FlagsOf[];
  /** Of what has changed and was `remote`. */
  readonly metas: readonly MessageMeta[];
  readonly record: Partial<MailboxRecord>;
  readonly firstUnseenHint: number | undefined;
}

export interface MailboxStateOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly record: MailboxRecord;
  /** Mailferry has the last word: no listing is asked for, and every message is `full`. */
  readonly local?: boolean;
  /** Local: called before messages are removed that somebody wants removed. */
  readonly onRemoving?: OnRemoving | undefined;
}

export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
