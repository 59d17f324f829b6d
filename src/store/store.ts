/**
 * The seam between the migration and the disk: one account's Maildir, index and sidecar. It knows
 * nothing of networks. Database calls are synchronous and short; whatever touches many files is
 * asynchronous and runs off the main thread.
 *
 * What always holds
 * - A file under cur/ is whole: it was written under tmp/ and renamed. Its base name is a function of
 *   (mailbox id, UIDVALIDITY, UID), so the directory proves what has arrived.
 * - index.db may be deleted at any time and is rebuilt from Maildir, dovecot-keywords and the sidecar.
 * - What those cannot hold (zones, RFC822.SIZE that differs from the file, MODSEQ, raw mailbox names,
 *   attributes, keywords past the 26th) is in sidecar.db.
 */
import type { Flags } from "../mail/flags.ts";
import type { EncodedMailboxName, MailboxId, ModSeq, Uid, UidValidity } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import type { IncomingMessage } from "../mail/new-message.ts";
import type { ExpungeLog } from "./expunge-log.ts";
import type { HandedMaildir, HandoverRequest } from "./hand-over.ts";
import type { MaildropTable } from "./maildrop-table.ts";
import type { AsidePlace } from "./set-aside.ts";
import type { SetAsideMailbox } from "./set-aside-mailbox.ts";

export interface MailboxRecord {
  readonly id: MailboxId;
  readonly name: EncodedMailboxName;
  readonly separator: string | null;
  readonly attributes: readonly string[];
  readonly subscribed: boolean;
  /** Folder below Maildir/, '' for INBOX, `.Sent.2019` otherwise; fixed when the record is made. */
  readonly directory: string;
  /** undefined until the mailbox was first examined (and for \Noselect names). */
  readonly uidValidity: UidValidity | undefined;
  readonly uidNext: Uid;
  /** 0n where there is no CONDSTORE. */
  readonly highestModSeq: ModSeq;
  /** FLAGS and PERMANENTFLAGS as the legacy server last sent them. */
  readonly flags: readonly string[];
  readonly permanentFlags: readonly string[];
}

/**
 * A message as held here: only its UID (`remote`), with its metadata (`meta`), or with its bytes
 * (`full`). Cached headers and structures are asked for separately.
 */
export type StoredMessage =
  | { readonly presence: "remote"; readonly uid: Uid }
  | ({ readonly presence: "meta" } & MessageMeta)
  | ({ readonly presence: "full"; readonly fileName: string } & MessageMeta);

/** One whole message to file. */
export interface MessageToFile {
  readonly meta: MessageMeta;
  readonly bytes: Buffer;
}

/** A new message: its bytes, or the message of which it is a copy. */
export type MessageToAdd =
  | { readonly meta: MessageMeta; readonly content: MessageContent; readonly copyOf?: undefined }
  | {
      readonly meta: MessageMeta;
      readonly content?: undefined;
      readonly copyOf: { readonly mailbox: MailboxRecord; readonly uid: Uid };
    };

/** Messages of a mailbox that change: as long as the revision of one object is the same, they are. */
export interface RevisedMessages {
  readonly revision: number;
  /** As they are now, ascending by UID. */
  all(): readonly StoredMessage[];
}

/** A message that arrives in pieces: written to tmp/ as it comes, readable all the while. */
export interface SpooledMessage {
  write(chunk: Buffer): Promise<void>;
  /** Renames into cur/ and returns the file name; all bytes must have been written. */
  commit(meta: MessageMeta): Promise<string>;
  /** Drops the tmp file; readers that wait get `reason`. */
  abort(reason: unknown): Promise<void>;
  /** A reader that may run behind the writer; outlives commit and abort. */
  open(): MessageContent;
}

/** What others have done in a local mailbox's folder. */
export interface FolderNews {
  /** Which file each message has (`fileOf`) may have changed. */
  readonly isScanned: boolean;
  /** There is mail to take. */
  readonly hasMail: boolean;
  /** Of what was taken something may not have been whole: to be looked at again soon. */
  readonly isUnfinished: boolean;
}

/** How mail that others put there becomes messages. */
export interface Taking {
  readonly modSeq: ModSeq;
  /** Above all messages that are known. */
  readonly aboveAll: number;
  /** Takes so many UIDs for good, from `least` on; the first of them. */
  reserve(count: number, least: Uid): Uid;
  /** UIDs below it are used up. */
  raiseUidNext(uidNext: Uid): void;
}

export interface TakenMail {
  /** Ascending by UID, above all that were known. */
  readonly messages: readonly StoredMessage[];
  readonly isMore: boolean;
}

export interface AccountStore {
  readonly directory: string;
  /** The disk takes nothing: what is known is held in memory, and forgotten at the end. */
  readonly isPassing: boolean;

  mailboxes(): readonly MailboxRecord[];
  /** Makes the record, its id and its directory (collision-free); the folder appears on disk. */
  addMailbox(
    fields: Pick<MailboxRecord, "name" | "separator" | "attributes" | "subscribed"> & {
      /** The personal namespace's prefix, not part of the directory: `INBOX.` on Courier and Cyrus. */
      readonly prefix: string;
    },
  ): MailboxRecord;
  saveMailbox(record: MailboxRecord): void;
  /** Gives it another name, and its folder with it; messages and UIDs stay. */
  renameMailbox(id: MailboxId, name: EncodedMailboxName): MailboxRecord;
  /** Forgets the mailbox and removes its folder and files. */
  dropMailbox(id: MailboxId): Promise<void>;
  /** Forgets the mailbox, and keeps its folder for some days beside the Maildir. */
  setMailboxAside(id: MailboxId): Promise<void>;
  /** Those that are kept so. */
  setAsideMailboxes(): readonly SetAsideMailbox[];
  /** Somebody is told of them: only then may they be removed. */
  noteSetAsideTold(): void;
  /** Removes those that have been kept for so long. */
  removeSetAside(keepMs: number): Promise<void>;
  /** Forgets all messages and files of a mailbox, whose UIDVALIDITY the legacy server has changed. */
  resetMailbox(id: MailboxId, uidValidity: UidValidity): Promise<MailboxRecord>;
  /** Account-wide values that a client was told and must be told again: NAMESPACE, LSUB raw answers. */
  readSetting(key: string): string | undefined;
  writeSetting(key: string, value: string): void;
  /**
   * What is true of index.db's rows only (that a listing is complete, say): kept in index.db, gone and
   * taken back together with it.
   */
  readMark(key: string): string | undefined;
  writeMark(key: string, value: string): void;
  /** Writes Dovecot's `subscriptions` file. */
  writeSubscriptions(names: readonly EncodedMailboxName[], separator: string | null): void;
  /** Which of the names that file does not have, and what it has beside them (in its own words). */
  compareSubscriptions(
    names: readonly EncodedMailboxName[],
    separator: string | null,
  ): Promise<{ readonly missing: readonly EncodedMailboxName[]; readonly extra: readonly string[] }>;

  /** Of all mailboxes, by id. */
  readonly expunges: ExpungeLog;

  /** What POP3 clients know of the account. */
  readonly maildrop: MaildropTable;

  /**
   * All messages by UID, the index reconciled with what is in cur/: a file that the index does not know
   * makes its message `full` as soon as its metadata are known; a missing file makes it `meta` again.
   */
  loadMessages(mailbox: MailboxRecord): Promise<StoredMessage[]>;
  /** How many of them the index has: of a mailbox that nobody has open. */
  countMessages(mailbox: MailboxId): number;
  /** Files found in cur/ by `loadMessages` or filed since, for messages whose metadata came later. */
  fileOf(mailbox: MailboxRecord, uid: Uid): string | undefined;
  /** Inserts or replaces, in one transaction; flags that changed rename the file and return the new state. */
  saveMessages(mailbox: MailboxRecord, messages: readonly StoredMessage[]): StoredMessage[];
  /** Removes rows and files. */
  removeMessages(mailbox: MailboxRecord, uids: readonly Uid[]): Promise<void>;

  saveHeaders(mailbox: MailboxRecord, headers: ReadonlyMap<Uid, Buffer>): void;
  header(mailbox: MailboxRecord, uid: Uid): Buffer | undefined;
  /** BODY and BODYSTRUCTURE in wire form, whoever computed them. */
  saveStructures(mailbox: MailboxRecord, structures: ReadonlyMap<Uid, StoredStructure>): void;
  structure(mailbox: MailboxRecord, uid: Uid): StoredStructure | undefined;
  /** Which of `uids` have a cached header (or structure). */
  missingHeaders(mailbox: MailboxRecord, uids: readonly Uid[]): Uid[];
  missingStructures(mailbox: MailboxRecord, uids: readonly Uid[]): Uid[];

  /** Files many messages in the writer thread; resolves with the file name of each. */
  fileMessages(mailbox: MailboxRecord, batch: readonly MessageToFile[]): Promise<Map<Uid, string>>;
  /**
   * Files those of `messages` whose bytes are here already, as another message of the same EMAILID and size; the
   * file name of each of those.
   */
  fileCopies(mailbox: MailboxRecord, messages: readonly MessageMeta[]): Promise<Map<Uid, string>>;
  /** For one message with readers waiting, or too big for a batch. */
  spool(mailbox: MailboxRecord, uid: Uid, sizeBytes: number): SpooledMessage;
  /** For a message that a client sends: on disk under tmp/, in no mailbox. */
  receive(sizeBytes: number): IncomingMessage;
  /**
   * Adds messages to a mailbox of a local account: their files and uidlist lines are on stable storage when
   * it resolves. Their UIDs are above all others, and below the record's UIDNEXT, which was saved before.
   */
  addMessages(mailbox: MailboxRecord, messages: readonly MessageToAdd[]): Promise<StoredMessage[]>;
  /** Local: whether `lookAround` has nothing to tell; two calls of stat. */
  isUnchanged(mailbox: MailboxRecord): boolean;
  /** Local: looks whether others have changed anything in the mailbox's folder. Little work where they have not. */
  lookAround(mailbox: MailboxRecord): Promise<FolderNews>;
  /** Local: takes some of the mail that others put there, the first to arrive first. */
  takeDropped(mailbox: MailboxRecord, taking: Taking): Promise<TakenMail>;
  /**
   * What the name says that a message's file has now: as `before`, where only the rest of it is another. undefined where
   * that is not known yet, and is to be asked again soon.
   */
  flagsOfFile(
    mailbox: MailboxRecord,
    before: Pick<StoredMessage & { presence: "full" }, "flags" | "fileName">,
    fileName: string,
  ): Flags | undefined;
  /**
   * Local: gives files that others have named names of ours; those of `messages` that have another name now. To be
   * written to dovecot-uidlist by the next checkpoint.
   */
  nameAsOurs(mailbox: MailboxRecord, messages: readonly StoredMessage[]): Promise<readonly StoredMessage[]>;
  /** Local: nobody else gives UIDs of the mailbox while `work` runs. */
  lockUids<T>(mailbox: MailboxRecord, work: () => Promise<T>): Promise<T>;
  /** Local: the lowest UID that nobody has given yet, as dovecot-uidlist tells. Under the lock. */
  listedUidNext(mailbox: MailboxRecord): Promise<Uid>;
  /**
   * Calls `onChange` when something comes into the folder or is renamed there, until what is returned is called. Throws
   * UNAVAILABLE where the system cannot watch; on a network file system nothing may be told.
   */
  watchFolder(mailbox: MailboxRecord, onChange: () => void): () => void;
  /**
   * The UIDNEXT that dovecot-uidlist tells, but for what a Dovecot beside us may have given from the record's on; 1
   * where there is none of this UIDVALIDITY.
   */
  writtenUidNext(mailbox: MailboxRecord): Promise<Uid>;
  /** Takes the files of messages that cannot be read, or are lost, out of the mailbox, and keeps them beside it. */
  setAside(mailbox: MailboxRecord, uids: readonly Uid[], place?: AsidePlace): void;
  /** Of a message that was lost; undefined where it is not there. */
  readAside(fileName: string): Promise<Buffer | undefined>;
  removeAside(fileName: string): void;
  /** What was renamed and removed in the mailbox's folder is on stable storage. */
  syncFolder(mailbox: MailboxRecord): void;
  /** A UIDVALIDITY above every one that was ever given out here. */
  nextUidValidity(): UidValidity;
  /** Opens a filed message; throws MessageLost (UNAVAILABLE) when the file is gone or damaged. */
  openMessage(mailbox: MailboxRecord, message: StoredMessage & { presence: "full" }): MessageContent;

  /**
   * Writes dovecot-uidlist and dovecot-keywords of what is `full` now (Dovecot's locks and formats). Does nothing
   * where they say that already.
   */
  checkpoint(mailbox: MailboxRecord, messages: RevisedMessages): Promise<void>;
  /**
   * Writes all that Dovecot reads of the account, reads it back, and tells what does not agree with what is known
   * here. Nothing may change meanwhile.
   */
  handOver(request: HandoverRequest): Promise<HandedMaildir>;
  /** Everything written so far survives a power failure when this resolves. */
  makeDurable(): Promise<void>;
  /** What is here has no other home from now on: each change is on stable storage when it returns. */
  becomeLocal(): void;
  /** The legacy server has it all again. */
  becomeMirrored(): void;
  close(): Promise<void>;
}

export interface StoredStructure {
  readonly body: Buffer;
  readonly bodyStructure: Buffer;
}

export type { Flags, InternalDate };
