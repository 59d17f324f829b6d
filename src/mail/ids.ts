/**
 * The numbers and names that must not be mixed up: each is a plain number, bigint or string at run
 * time, and a type of its own for the compiler. Casting happens here and at the edges (parsers,
 * the index), nowhere else.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A message's unique identifier in one mailbox (RFC 3501 2.3.1.1), 1..2^32-1. */
export type Uid = Brand<number, "Uid">;
/** A message's position in one session's view of a mailbox (RFC 3501 2.3.1.2), 1..EXISTS. */
export type SequenceNumber = Brand<number, "SequenceNumber">;
/** UIDVALIDITY of a mailbox (RFC 3501 2.3.1.1), 1..2^32-1. */
export type UidValidity = Brand<number, "UidValidity">;
/** A modification sequence (RFC 7162), a 63-bit number; 0 where the server has none. */
export type ModSeq = Brand<bigint, "ModSeq">;
/** The number that names a mailbox for as long as its account lives, whatever it is renamed to. */
export type MailboxId = Brand<number, "MailboxId">;
/** A POP3 UIDL as opaque bytes, one char per byte. */
export type Uidl = Brand<string, "Uidl">;
/**
 * A mailbox name as it stands on the wire (modified UTF-7 or whatever the legacy server sends),
 * one char per byte (latin1). This is the identity of a name; INBOX is always upper case.
 */
export type EncodedMailboxName = Brand<string, "EncodedMailboxName">;
/** A mailbox name as people read it: decoded Unicode, for status, logs and reports only. */
export type MailboxName = Brand<string, "MailboxName">;

export const uid = (value: number): Uid => value as Uid;
export const sequenceNumber = (value: number): SequenceNumber => value as SequenceNumber;
export const uidValidity = (value: number): UidValidity => value as UidValidity;
export const modSeq = (value: bigint): ModSeq => value as ModSeq;
export const mailboxId = (value: number): MailboxId => value as MailboxId;
export const uidl = (value: string): Uidl => value as Uidl;
/** Of a message that its server has given none. */
export const noUidl: Uidl = uidl("");

/** Names a mailbox by its wire bytes; INBOX is matched in any case (RFC 3501 5.1). */
export function encodedMailboxName(latin1: string): EncodedMailboxName {
  return (latin1.toUpperCase() === "INBOX" ? "INBOX" : latin1) as EncodedMailboxName;
}

export const inbox: EncodedMailboxName = encodedMailboxName("INBOX");

/** The largest UID and UIDVALIDITY that RFC 3501 allows. */
export const maxUid = 0xffff_ffff;
