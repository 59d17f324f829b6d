/** A maildrop of messages that are known here, whoever gave them their UIDLs. */
import { isUnavailable, MailError, unreadableIn } from "../errors.ts";
import { inbox, type MailboxId, noUidl, type Uid, type Uidl } from "../mail/ids.ts";
import { isMade, toldUidl } from "../mail/made-uidl.ts";
import { sendMessage } from "../mail/send-message.ts";
import { withoutNuls } from "../mail/without-nuls.ts";
import type { MailboxMirror } from "../migration/mailbox-mirror.ts";
import type { Mirror } from "../migration/mirror.ts";
import { identityName } from "../store/maildir-name.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { keepUidlFormat } from "../store/pop3-fields.ts";
import { waitWith } from "../waiting.ts";
import type { Maildrop, MaildropMessage, MaildropOptions } from "./maildrop.ts";

export interface FiledMessage extends MaildropMessage {
  readonly mailbox: MailboxMirror;
  readonly uid: Uid;
  /** What the legacy POP3 server knows it by; undefined where that never knew of it. */
  readonly entry: MaildropEntry | undefined;
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
  const { mirror } = options;
  const shown = entries.filter(({ isRemoved }) => !isRemoved);
  const known = await knownMessages(options, shown);
  const messages: readonly FiledMessage[] = hasOthers
    ? [...known, ...(await ownMessages(options, entries))]
    : known;
  const isTwin = twinsAmong(messages);
  const filed = new Map<MaildropMessage, FiledMessage>(messages.map((message) => [message, message]));
  const filedOf = (some: readonly MaildropMessage[]): readonly FiledMessage[] =>
    some.flatMap((message) => filed.get(message) ?? []);
  /** By the old POP3 server, where there is one beside IMAP; none where it is away and nobody else is needed. */
  const removeThere = async (
    deleted: readonly FiledMessage[],
    waiting: AbortSignal,
  ): Promise<ReadonlySet<MaildropEntry>> => {
    const entries = deleted.flatMap(({ entry }) => entry ?? []);
    if (entries.length === 0) return new Set();
    try {
      return new Set(await mirror.maildrop?.removeThere?.(entries, waiting));
    } catch (error) {
      if (!isUnavailable(error) || deleted.some(isTwin)) throw error;
      return new Set();
    }
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
      const { mailbox, uid, entry } = filed.get(message) ?? {};
      const content = uid && (await mailbox?.content(uid, waiting));
      if (!content) return false;
      try {
        const cameByPop3 = entry?.print !== undefined;
        await sendMessage(content, lines, cameByPop3 ? take : (bytes) => take(withoutNuls(bytes)));
      } finally {
        content.close();
      }
      return true;
    },
    update: ({ read, deleted }, waiting) =>
      mirror.asOne(async () => {
        const leaving = filedOf(deleted);
        if (leaving.length > 0) {
          const removed = await removeThere(leaving, waiting);
          const isRemoved = ({ entry }: FiledMessage): boolean => entry !== undefined && removed.has(entry);
          await removeHere(
            leaving.filter((message) => !isRemoved(message)),
            waiting,
          );
          await syncOf(leaving.filter(isRemoved), waiting);
          await mirror.maildrop?.writeThrough(waiting);
        }
        if (options.markSeen) await markSeen(mirror, filedOf(read), waiting);
      }),
    close: () => undefined,
  };
}

/** What has left at the old server goes here, now rather than at the next look. */
async function syncOf(messages: readonly FiledMessage[], signal: AbortSignal): Promise<void> {
  for (const mailbox of presentByMailbox(messages).keys())
    await mailbox.sync(signal).catch((error: unknown) => mailbox.state.logger.debug({ err: error }, "later"));
}

/** They were read. That it cannot be noted is no reason to answer QUIT with -ERR. */
export async function markSeen(
  { authority }: Mirror,
  messages: readonly Pick<FiledMessage, "mailbox" | "uid">[],
  signal: AbortSignal,
): Promise<void> {
  for (const [mailbox, uids] of presentByMailbox(messages)) {
    try {
      await waitWith(authority.store(mailbox, uids, seen), signal);
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      mailbox.state.logger.warn({ err: error }, "what was read by POP3 is not marked");
    }
  }
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
  { mirror, uidlFormat, signal }: MaildropOptions,
  entries: readonly MaildropEntry[],
): Promise<readonly FiledMessage[]> {
  /** Where the old server has none there is none for as long as it has the last word. */
  const shown = (uidl: Uidl, { state }: MailboxMirror, uid: Uid): Uidl => {
    if (!isMade(uidl) || mirror.maildrop) return toldUidl(uidl);
    const { id, uidValidity } = state.record;
    if (uidValidity === undefined) return noUidl;
    const fileName = identityName({ mailbox: id, uidValidity, uid });
    const format = keepUidlFormat(mirror.store, uidlFormat);
    return format.of({ uid, uidValidity, fileName, guid: fileName }) ?? noUidl;
  };
  const mailboxes = await mailboxesOf(mirror, entries, signal);
  return entries.flatMap((entry): FiledMessage[] => {
    const { uidl, sizeBytes, message } = entry;
    const mailbox = message && mailboxes.get(message.mailbox);
    if (!mailbox || mailbox.state.table.get(message.uid) === undefined) return [];
    return [{ uidl: shown(uidl, mailbox, message.uid), sizeBytes, mailbox, uid: message.uid, entry }];
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
  const remote = uids.filter((uid) => state.table.get(uid)?.presence === "remote");
  await waitWith(unreadableIn(mailbox.metadata(remote)), signal);
  const format = keepUidlFormat(mirror.store, uidlFormat);
  return uids.flatMap((uid): FiledMessage[] => {
    const message = state.table.get(uid);
    const fileName = identityName({ mailbox: id, uidValidity, uid });
    const uidl = format.of({ uid, uidValidity, fileName, guid: fileName });
    if (!message || message.presence === "remote" || uidl === undefined) return [];
    return [{ uidl, sizeBytes: message.sizeBytes, mailbox, uid, entry: undefined }];
  });
}
