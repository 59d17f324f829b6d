/**
 * INBOX as POP3 sees it (RFC 1939): the messages of one moment, in a lasting order, each with a UIDL that never
 * changes. One session at a time has it (RFC 1939 4).
 */
import { MailError } from "../errors.ts";
import { inbox, type Uid, type Uidl } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { parseUidlFormat, type UidlFormat } from "../mail/uidl-format.ts";
import type { Authority } from "../migration/authority.ts";
import type { MailboxMirror } from "../migration/mailbox-mirror.ts";
import type { Mirror } from "../migration/mirror.ts";
import { waitWith } from "../migration/waiting.ts";

export interface MaildropMessage {
  readonly uid: Uid;
  readonly uidl: Uidl;
  readonly sizeBytes: number;
}

export interface Maildrop {
  /** As it was when the session began. */
  readonly messages: readonly MaildropMessage[];
  /** undefined where it was expunged meanwhile. The caller closes it. */
  content(message: MaildropMessage, signal: AbortSignal): Promise<MessageContent | undefined>;
  /** Removes them for good, here and on the legacy server. */
  remove(messages: readonly MaildropMessage[], signal: AbortSignal): Promise<void>;
  /** They were read. */
  markSeen(messages: readonly MaildropMessage[], signal: AbortSignal): Promise<void>;
  /** Idempotent. */
  close(): void;
}

/** Of one account. */
export interface MaildropLock {
  isHeld: boolean;
}

export interface MaildropOptions {
  readonly mirror: Mirror;
  readonly lock: MaildropLock;
  /** For messages of which no UIDL was ever shown; what was shown once stays. */
  readonly uidlFormat: string;
  readonly signal: AbortSignal;
}

/** Throws INUSE, and UNAVAILABLE where the messages cannot be told for certain. */
export async function openMaildrop({ mirror, lock, uidlFormat, signal }: MaildropOptions): Promise<Maildrop> {
  if (lock.isHeld) throw new MailError("INUSE", "The maildrop is in use by another session");
  lock.isHeld = true;
  let isOpen = true;
  const close = (): void => {
    if (isOpen) lock.isHeld = false;
    isOpen = false;
  };
  try {
    const mailbox = await mirror.mailbox(inbox, signal);
    await mailbox.select(signal);
    return {
      ...(await maildropOf(mailbox, mirror.authority, keptFormat(mirror, uidlFormat), signal)),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function maildropOf(
  mailbox: MailboxMirror,
  authority: Authority,
  format: UidlFormat,
  signal: AbortSignal,
): Promise<Omit<Maildrop, "close">> {
  const { state } = mailbox;
  const { uidValidity } = state.record;
  if (uidValidity === undefined) throw new MailError("UNAVAILABLE", "The maildrop is not known yet");
  const { uids } = state.table;
  await waitWith(mailbox.metadata(uids.filter((uid) => state.table.get(uid)?.presence === "remote")), signal);
  const messages = uids.flatMap((uid): MaildropMessage[] => {
    const message = state.table.get(uid);
    const uidl = format.of({ uid, uidValidity });
    if (!message || message.presence === "remote" || uidl === undefined) return [];
    return [{ uid, uidl, sizeBytes: message.sizeBytes }];
  });
  const uidsOf = (some: readonly MaildropMessage[]): readonly Uid[] =>
    some.map(({ uid }) => uid).filter((uid) => state.table.get(uid) !== undefined);
  return {
    messages,
    content: ({ uid }, waiting) => mailbox.content(uid, waiting),
    async remove(some, waiting) {
      const present = uidsOf(some);
      if (present.length === 0) return;
      const change = { kind: "add", flags: ["\\Deleted"] } as const;
      await waitWith(authority.store(mailbox, present, change), waiting);
      await waitWith(authority.expunge(mailbox, present), waiting);
    },
    async markSeen(some, waiting) {
      const present = uidsOf(some);
      if (present.length === 0) return;
      await waitWith(authority.store(mailbox, present, { kind: "add", flags: ["\\Seen"] }), waiting);
    },
  };
}

const formatKey = "uidl-format";

/** The format of the first maildrop that was shown is the account's for good: its clients know those UIDLs. */
function keptFormat({ store }: Mirror, configured: string): UidlFormat {
  const kept = store.readSetting(formatKey);
  const format = parseUidlFormat(kept ?? configured);
  if (!format) throw new Error(`${kept ?? configured} is no UIDL format`);
  if (kept === undefined) store.writeSetting(formatKey, format.text);
  return format;
}
