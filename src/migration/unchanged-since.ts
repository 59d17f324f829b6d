import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { asTold } from "../mail/mod-seq.ts";

/** Parts those that a conditional STORE may change from those that it must not (RFC 7162 3.1.3). */
export function byUnchangedSince<Message extends Pick<MessageMeta, "uid" | "modSeq">>(
  messages: readonly Message[],
  unchangedSince: ModSeq | undefined,
): { readonly unchanged: readonly Message[]; readonly modified: readonly Uid[] } {
  if (unchangedSince === undefined) return { unchanged: messages, modified: [] };
  const isUnchanged = ({ modSeq }: Message): boolean => asTold(modSeq) <= unchangedSince;
  return {
    unchanged: messages.filter(isUnchanged),
    modified: messages.filter((message) => !isUnchanged(message)).map(({ uid }) => uid),
  };
}
