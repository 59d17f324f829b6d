/**
 * The name of a pulled message's file: `<uid>.M<mailbox id>V<uidvalidity>P0.mailferry,S=<bytes>,W=<crlf
 * bytes>:2,<letters>`. The part before `,S=` is a pure function of (mailbox id, UIDVALIDITY, UID), so a
 * message that is filed twice lands on one name and the folder proves what has arrived. The UID comes
 * first, padded: names sort by UID as text, and Dovecot, which gives unknown files UIDs by the number
 * before the first dot, would give them in the same order.
 */
import { type MailboxId, mailboxId, type Uid, type UidValidity, uid, uidValidity } from "../mail/ids.ts";

export interface MessageIdentity {
  readonly mailbox: MailboxId;
  readonly uidValidity: UidValidity;
  readonly uid: Uid;
}

export interface MaildirName extends MessageIdentity {
  /** S: exact size of the file. A wrong S or W makes Dovecot's reads fail. */
  readonly sizeBytes: number;
  /** W: its size when every bare LF is sent as CRLF. */
  readonly crlfBytes: number;
  /** What follows `:2,`: D F R S T sorted, then keyword letters a-z. */
  readonly letters: string;
}

const pattern = /^(\d{10})\.M(\d+)V(\d+)P0\.mailferry,S=(\d+),W=(\d+)(?::2,([^/]*))?$/;
const infoSeparator = ":2,";

export function identityName({ mailbox, uidValidity: validity, uid: number }: MessageIdentity): string {
  return `${String(number).padStart(10, "0")}.M${mailbox}V${validity}P0.mailferry`;
}

export function formatMaildirName(name: MaildirName): string {
  const { sizeBytes, crlfBytes, letters } = name;
  return `${identityName(name)},S=${sizeBytes},W=${crlfBytes}${infoSeparator}${letters}`;
}

/** undefined for a file that somebody else put there. */
export function parseMaildirName(fileName: string): MaildirName | undefined {
  const match = pattern.exec(fileName);
  if (!match) return undefined;
  return {
    uid: uid(Number(match[1])),
    mailbox: mailboxId(Number(match[2])),
    uidValidity: uidValidity(Number(match[3])),
    sizeBytes: Number(match[4]),
    crlfBytes: Number(match[5]),
    letters: match[6] ?? "",
  };
}

/** The name as dovecot-uidlist has it: without `:2,` and what follows, or whatever follows a colon. */
export function baseOf(fileName: string): string {
  const end = fileName.indexOf(":");
  return end < 0 ? fileName : fileName.slice(0, end);
}

export function lettersOf(fileName: string): string {
  const end = fileName.indexOf(infoSeparator);
  return end < 0 ? "" : fileName.slice(end + infoSeparator.length);
}

export function withLetters(fileName: string, letters: string): string {
  return `${baseOf(fileName)}${infoSeparator}${letters}`;
}
