/**
 * Looks for the messages that a COPY or MOVE whose answer was lost has made: above the UIDNEXT of before,
 * one for each, of the same date and size.
 */
import type { ImapSource } from "../legacy/source.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { lookAgain } from "./look-again.ts";

export interface Search {
  readonly source: ImapSource;
  readonly signal: AbortSignal;
  /** As they were known before: a MOVE that was done has taken them from the mailbox. */
  readonly messages: readonly MessageMeta[];
  readonly target: EncodedMailboxName;
  /** UIDNEXT of the target before. */
  readonly from: Uid;
}

/** undefined when there are none; `unknown` when what is there cannot be told for certain. */
export function findCopies(search: Search): Promise<CopiedUids | undefined | "unknown"> {
  return lookAgain(search.signal, () => look(search));
}

async function look(search: Search): Promise<CopiedUids | undefined | "unknown"> {
  const { source, signal, messages, target, from } = search;
  return source.useMailbox(target, { priority: "interactive", signal }, async (lease) => {
    const arrived = (await lease.listUids()).filter((uid) => uid >= from);
    if (arrived.length === 0) return undefined;
    const metas: MessageMeta[] = [];
    await lease.fetchMeta(uidSetOf(arrived), (meta) => metas.push(meta));
    const free = metas.sort((a, b) => a.uid - b.uid);
    const to: Uid[] = [];
    for (const message of messages) {
      const index = free.findIndex(isCopyOf(message));
      const [copy] = index < 0 ? [] : free.splice(index, 1);
      if (copy) to.push(copy.uid);
    }
    if (to.length === 0) return undefined;
    if (to.length !== messages.length) return "unknown";
    const { uidValidity } = lease.examined;
    return uidValidity === undefined ? "unknown" : { uidValidity, from: messages.map(({ uid }) => uid), to };
  });
}

function isCopyOf(message: MessageMeta): (other: MessageMeta) => boolean {
  const { internalDate, sizeBytes } = message;
  return (other) =>
    other.sizeBytes === sizeBytes && other.internalDate.epochSeconds === internalDate.epochSeconds;
}
