/** A maildrop of messages that are known here, whoever gave them their UIDLs. */
import { isUnavailable, MailError } from "../errors.ts";
import { inbox, type MailboxId, type Uid } from "../mail/ids.ts";
import { sendMessage } from "../mail/send-message.ts";
import { parseUidlFormat, type UidlFormat } from "../mail/uidl-format.ts";
import type { MailboxMirror } from "../migration/mailbox-mirror.ts";
import type { Mirror } from "../migration/mirror.ts";
import { waitWith } from "../migration/waiting.ts";
import { identityName } from "../store/maildir-name.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { uidlFormatKey } from "../store/pop3-fields.ts";
import type { Maildrop, MaildropMessage, MaildropOptions } from "./maildrop.ts";

export interface FiledMessage extends MaildropMessage {
  readonly mailbox: MailboxMirror;
  readonly uid: Uid;
}

/**
 * `entries` in their order, and behind them, where it `hasOthers`, the messages of INBOX that no legacy POP3 server
 * ever knew of, with UIDLs of our own.
 */
export async function filedMaildrop(
  options: MaildropOptions,
  entries: readonly MaildropEntry[],
  hasOthers: boolean,
): Promise<Maildrop> {
  const { mirror, signal } = options;
  const known = await knownMessages(mirror, entries, signal);
  const messages: readonly FiledMessage[] = hasOthers
    ? [...known, ...(await ownMessages(options, entries))]
    : known;
  const isTwin = twinsAmong(messages);
  const filed = new Map<MaildropMessage, FiledMessage>(messages.map((message) => [message, message]));
  const filedOf = (some: readonly MaildropMessage[]): readonly FiledMessage[] =>
    some.flatMap((message) => filed.get(message) ?? []);
  /** By the old POP3 server, where there is one beside IMAP; false where it is away and nobody else is needed. */
  const removedThere = async (
    deleted: readonly MaildropMessage[],
    waiting: AbortSignal,
  ): Promise<boolean> => {
    const removeThere = mirror.maildrop?.removeThere;
    if (!removeThere) return false;
    const uidls = new Set(deleted.map(({ uidl }) => uidl));
    try {
      await removeThere(
        entries.filter(({ uidl }) => uidls.has(uidl)),
        waiting,
      );
    } catch (error) {
      if (!isUnavailable(error) || deleted.some(isTwin)) throw error;
      return false;
    }
    // What has left there goes here, now rather than at the next look.
    for (const mailbox of presentByMailbox(filedOf(deleted)).keys())
      await mailbox
        .sync(waiting)
        .catch((error: unknown) => mailbox.state.logger.debug({ err: error }, "later"));
    return true;
  };
  const removeHere = async (messages: readonly FiledMessage[], waiting: AbortSignal): Promise<void> => {
    const { authority } = mirror;
    for (const [mailbox, uids] of presentByMailbox(messages)) {
      await waitWith(authority.store(mailbox, uids, isDeleted), waiting);
      await waitWith(authority.expunge(mailbox, uids), waiting);
    }
  };
  return {
    messages,
    async read(message, lines, take, waiting) {
      const { mailbox, uid } = filed.get(message) ?? {};
      const content = uid && (await mailbox?.content(uid, waiting));
      if (!content) return false;
      try {
        await sendMessage(content, lines, take);
      } finally {
        content.close();
      }
      return true;
    },
    async update({ read, deleted }, waiting) {
      if (options.markSeen) await markSeen(mirror, filedOf(read), waiting);
      if (deleted.length === 0) return;
      if (!(await removedThere(deleted, waiting))) await removeHere(filedOf(deleted), waiting);
      await mirror.maildrop?.writeThrough(waiting);
    },
    close: () => undefined,
  };
}

/** They were read. */
export async function markSeen(
  { authority }: Mirror,
  messages: readonly Pick<FiledMessage, "mailbox" | "uid">[],
  signal: AbortSignal,
): Promise<void> {
  for (const [mailbox, uids] of presentByMailbox(messages))
    await waitWith(authority.store(mailbox, uids, seen), signal);
}

function presentByMailbox(
  messages: readonly Pick<FiledMessage, "mailbox" | "uid">[],
): ReadonlyMap<MailboxMirror, readonly Uid[]> {
  const uids = new Map<MailboxMirror, Uid[]>();
  for (const { mailbox, uid } of messages) {
    if (mailbox.state.table.get(uid) === undefined) continue;
    const of = uids.get(mailbox);
    if (of) of.push(uid);
    else uids.set(mailbox, [uid]);
  }
  return uids;
}

/** Whether a message may have an equal one: which of them has which UIDL, nobody can tell here. */
function twinsAmong(messages: readonly MaildropMessage[]): (message: MaildropMessage) => boolean {
  const sizes = new Map<number, number>();
  for (const { sizeBytes } of messages) sizes.set(sizeBytes, (sizes.get(sizeBytes) ?? 0) + 1);
  return ({ sizeBytes }) => (sizes.get(sizeBytes) ?? 0) > 1;
}

const seen = { kind: "add", flags: ["\\Seen"] } as const;
const isDeleted = { kind: "add", flags: ["\\Deleted"] } as const;

async function knownMessages(
  mirror: Mirror,
  entries: readonly MaildropEntry[],
  signal: AbortSignal,
): Promise<readonly FiledMessage[]> {
  const mailboxes = await mailboxesOf(mirror, entries, signal);
  return entries.flatMap(({ uidl, sizeBytes, message }): FiledMessage[] => {
    const mailbox = message && mailboxes.get(message.mailbox);
    if (!mailbox || mailbox.state.table.get(message.uid) === undefined) return [];
    return [{ uidl, sizeBytes, mailbox, uid: message.uid }];
  });
}

async function mailboxesOf(
  mirror: Mirror,
  entries: readonly MaildropEntry[],
  signal: AbortSignal,
): Promise<ReadonlyMap<MailboxId, MailboxMirror>> {
  const ids = new Set(entries.map(({ message }) => message?.mailbox));
  const mailboxes = new Map<MailboxId, MailboxMirror>();
  for (const { id, name } of mirror.store.mailboxes()) {
    if (ids.has(id)) mailboxes.set(id, await mirror.mailbox(name, signal));
  }
  return mailboxes;
}

async function ownMessages(
  { mirror, uidlFormat, signal }: MaildropOptions,
  entries: readonly MaildropEntry[],
): Promise<readonly FiledMessage[]> {
  const mailbox = await mirror.mailbox(inbox, signal);
  await mailbox.select(signal);
  const { state } = mailbox;
  const { id, uidValidity } = state.record;
  if (uidValidity === undefined) throw new MailError("UNAVAILABLE", "The maildrop is not known yet");
  const known = new Set(entries.flatMap(({ message }) => (message?.mailbox === id ? [message.uid] : [])));
  // What the legacy server did not list when it was asked, its clients do not know.
  const from = entries.length === 0 ? 0 : (mirror.store.maildrop.listedUpTo(id) ?? 0);
  const uids = state.table.uids.filter((uid) => uid >= from && !known.has(uid));
  await waitWith(mailbox.metadata(uids.filter((uid) => state.table.get(uid)?.presence === "remote")), signal);
  const format = keptFormat(mirror, uidlFormat);
  return uids.flatMap((uid): FiledMessage[] => {
    const message = state.table.get(uid);
    const fileName = identityName({ mailbox: id, uidValidity, uid });
    const uidl = format.of({ uid, uidValidity, fileName, guid: fileName });
    if (!message || message.presence === "remote" || uidl === undefined) return [];
    return [{ uidl, sizeBytes: message.sizeBytes, mailbox, uid }];
  });
}

/** The format of the first maildrop that was shown is the account's for good: its clients know those UIDLs. */
function keptFormat({ store }: Mirror, configured: string): UidlFormat {
  const kept = store.readSetting(uidlFormatKey);
  const format = parseUidlFormat(kept ?? configured);
  if (!format) throw new Error(`${kept ?? configured} is no UIDL format`);
  if (kept === undefined) store.writeSetting(uidlFormatKey, format.text);
  return format;
}
