/**
 * A maildrop that the old POP3 server shows itself, as long as not every message of it is known here: its UIDLs, its
 * sizes, and its bytes but for what is here in that size.
 */

import { toldUidl } from "../mail/made-uidl.ts";
import type { MessageContent } from "../mail/message.ts";
import { sendMessage, type TakeBytes } from "../mail/send-message.ts";
import { withoutNuls } from "../mail/without-nuls.ts";
import type { MailboxMirror } from "../migration/mailbox-mirror.ts";
import type { ListedMessage } from "../migration/maildrop-listing.ts";
import type { OpenedMaildrop } from "../migration/maildrop-mirror.ts";
import { removeNumbers } from "../migration/remove-from-maildrop.ts";
import { waitWith } from "../waiting.ts";
import { type FiledMessage, markSeen } from "./filed-maildrop.ts";
import type { Maildrop, MaildropMessage, MaildropOptions } from "./maildrop.ts";

type Relayed = Extract<OpenedMaildrop, { kind: "theirs" }>;

export async function relayedMaildrop(
  options: MaildropOptions,
  { messages: listed, session }: Relayed,
): Promise<Maildrop> {
  const { mirror } = options;
  /** What is here already came by IMAP. */
  const isByImap = mirror.maildrop?.removeThere !== undefined;
  const listedOf = new Map<MaildropMessage, ListedMessage>(
    listed.map((one) => [{ uidl: toldUidl(one.entry.uidl), sizeBytes: one.entry.sizeBytes }, one]),
  );
  const mailboxOf = ({ entry: { message } }: ListedMessage): MailboxMirror | undefined =>
    mirror.opened().find(({ state }) => state.record.id === message?.mailbox);
  const filedOf = (one: ListedMessage): Pick<FiledMessage, "mailbox" | "uid">[] => {
    const mailbox = mailboxOf(one);
    const { message } = one.entry;
    return mailbox && message ? [{ mailbox, uid: message.uid }] : [];
  };
  /** Its bytes, where they are here and as many as the old server has told. */
  const contentHere = async (
    one: ListedMessage,
    signal: AbortSignal,
  ): Promise<MessageContent | undefined> => {
    const { message, sizeBytes } = one.entry;
    const mailbox = mailboxOf(one);
    if (!message || mailbox?.state.table.get(message.uid)?.presence !== "full") return undefined;
    const content = await mailbox.content(message.uid, signal);
    if (content?.sizeBytes === sizeBytes) return content;
    content?.close();
    return undefined;
  };
  const relay = async (
    { number }: ListedMessage,
    lines: number | undefined,
    take: TakeBytes,
    signal: AbortSignal,
  ): Promise<void> => {
    const stop = (): void => session.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (lines === undefined) await session.retrieve(number, take);
      else await take(await session.top(number, lines));
    } finally {
      signal.removeEventListener("abort", stop);
    }
  };
  return {
    messages: [...listedOf.keys()],
    async read(message, lines, takeBytes, signal) {
      const take: TakeBytes = isByImap ? (bytes) => takeBytes(withoutNuls(bytes)) : takeBytes;
      const one = listedOf.get(message);
      if (!one) return false;
      const content = await contentHere(one, signal);
      if (!content) {
        await relay(one, lines, take, signal);
        return true;
      }
      try {
        await sendMessage(content, lines, take);
      } finally {
        content.close();
      }
      return true;
    },
    async update({ read, deleted }, signal) {
      const gone = deleted.flatMap((message) => listedOf.get(message) ?? []);
      const work = async (): Promise<void> => {
        await mirror.maildrop?.noteRemoved(gone.map(({ entry }) => entry));
        await removeNumbers(
          session,
          gone.map(({ number }) => number),
        );
        await mirror.maildrop?.noteGone(gone.map(({ entry }) => entry));
      };
      await waitWith(work(), signal);
      const filed = read.flatMap((message) => listedOf.get(message) ?? []).flatMap(filedOf);
      if (options.markSeen) await markSeen(mirror, filed, signal);
    },
    close: () => session.close(),
  };
}
