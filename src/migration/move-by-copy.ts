/**
 * MOVE at a server that has none (RFC 6851 3.3 names the three steps): done whole, or undone whole. A client that is
 * told NO finds everything where it was, and no copy besides.
 */
import { MailError, OutcomeUnknown } from "../errors.ts";
import type { CopiedInPart } from "../legacy/copied-in-part.ts";
import type { ImapSource, MailboxLease } from "../legacy/source.ts";
import { contains } from "../legacy/uid-set.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { findCopies } from "./find-copies.ts";
import { removeThere } from "./remove-there.ts";

export interface Copies {
  readonly source: ImapSource;
  readonly signal: AbortSignal;
  readonly uids: readonly Uid[];
  /** What is known of them. */
  readonly messages: readonly MessageMeta[];
  readonly target: EncodedMailboxName;
  /** These go from the target again. */
  readonly onRemoving: (uids: readonly Uid[]) => void;
}

export interface MoveByCopy extends Copies {
  readonly from: EncodedMailboxName;
  readonly copy: () => Promise<CopiedUids | undefined>;
  /** Alone with the mailbox; what became of it is known here when this resolves. Throws OutcomeUnknown where it is not. */
  readonly remove: (work: (lease: MailboxLease) => Promise<void>) => Promise<void>;
}

export async function moveByCopy(move: MoveByCopy): Promise<CopiedUids | undefined> {
  const { source, signal, target } = move;
  // From which UID on the copies will be, for where COPY does not tell.
  const before = await source
    .use({ priority: "interactive", signal }, (lease) => lease.status(target))
    .catch(() => undefined);
  const copied = await move.copy();
  /** By us. */
  let marked: readonly Uid[] = [];
  try {
    await move.remove(async (lease) => {
      if (lease.examined.readOnly) throw new MailError("NOPERM", "The mailbox is read-only");
      const already = new Set(await lease.listDeleted());
      marked = move.uids.filter((uid) => !already.has(uid));
      await removeThere(lease, move.uids);
    });
  } catch (error) {
    // What may have been removed must not be removed there, too.
    if (error instanceof OutcomeUnknown) throw error;
    await takeBack(move, marked, copied, before?.uidNext).catch((cause: unknown) => {
      // Neither OK nor NO would be true.
      throw new OutcomeUnknown(cause);
    });
    throw error;
  }
  return copied;
}

/** Of a COPY in several commands, after a later one was refused. */
export async function takeBackPart(
  copies: Copies,
  { done, copied }: CopiedInPart,
  uidNext: Uid | undefined,
): Promise<void> {
  const isDone = (uid: Uid): boolean => contains(done, uid);
  const part: Copies = {
    ...copies,
    uids: copies.uids.filter(isDone),
    messages: copies.messages.filter(({ uid }) => isDone(uid)),
  };
  await takeBackCopies(part, copied, uidNext).catch((cause: unknown) => {
    throw new OutcomeUnknown(cause);
  });
}

async function takeBack(
  move: MoveByCopy,
  marked: readonly Uid[],
  copied: CopiedUids | undefined,
  uidNext: Uid | undefined,
): Promise<void> {
  const { source, signal, from } = move;
  if (marked.length > 0)
    await source.useMailbox(from, { priority: "interactive", signal, write: true }, async (lease) => {
      await lease.store(uidSetOf(marked), { kind: "remove", flags: ["\\Deleted"] }, () => undefined);
    });
  await takeBackCopies(move, copied, uidNext);
}

async function takeBackCopies(
  { source, signal, uids, messages, target, onRemoving }: Copies,
  copied: CopiedUids | undefined,
  uidNext: Uid | undefined,
): Promise<void> {
  const canLook = uidNext !== undefined && messages.length === uids.length;
  const found =
    copied ?? (canLook ? await findCopies({ source, signal, messages, target, from: uidNext }) : "unknown");
  if (found === undefined) return;
  if (found === "unknown")
    throw new MailError("UNAVAILABLE", "The copies cannot be told from other messages");
  await source.useMailbox(target, { priority: "interactive", signal, write: true }, async (lease) => {
    if (lease.examined.uidValidity !== found.uidValidity)
      throw new MailError("UNAVAILABLE", "The mailbox has changed");
    onRemoving(found.to);
    await removeThere(lease, found.to);
  });
}
