/**
 * Who has the last word on a change of one account: the legacy server until cutover, Mailferry afterwards.
 * A change goes to the authority first; when it resolves, what the authority answered is committed here.
 * All of them throw the authority's refusal in its words, UNAVAILABLE when nothing was done, and
 * OutcomeUnknown when nobody can tell.
 */
import type { CopiedUids } from "../mail/copied-uids.ts";
import type { FlagChange } from "../mail/flag-change.ts";
import type { EncodedMailboxName, ModSeq, Uid } from "../mail/ids.ts";
import type { NameChange } from "../mail/name-change.ts";
import type { AppendedUid, NewMessage } from "../mail/new-message.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";

export interface Authority {
  changeName(change: NameChange): Promise<void>;
  /** undefined where the new UID is not known for certain. */
  append(target: EncodedMailboxName, message: NewMessage): Promise<AppendedUid | undefined>;
  /** Messages whose MODSEQ is above `unchangedSince` are left alone, and told (RFC 7162 3.1.3). */
  store(
    mailbox: MailboxMirror,
    uids: readonly Uid[],
    change: FlagChange,
    unchangedSince?: ModSeq,
  ): Promise<readonly Uid[]>;
  /** Of the messages marked \Deleted: all, or those of `uids` only. */
  expunge(mailbox: MailboxMirror, uids?: readonly Uid[]): Promise<void>;
  /** undefined where the new UIDs are not known for certain. */
  copy(
    mailbox: MailboxMirror,
    uids: readonly Uid[],
    target: EncodedMailboxName,
  ): Promise<CopiedUids | undefined>;
  move(
    mailbox: MailboxMirror,
    uids: readonly Uid[],
    target: EncodedMailboxName,
  ): Promise<CopiedUids | undefined>;
}
