/**
 * Changes of messages, written through to the legacy server on the connection that has the mailbox selected. What
 * the server answers is the change: STORE and COPY go there one behind the other (see MailboxState.shared); an
 * EXPUNGE is alone with the mailbox until the listing bears out what it led to.
 */
import { MailError, OutcomeUnknown, unreadableIn } from "../errors.ts";
import { CopiedInPart } from "../legacy/copied-in-part.ts";
import type { FlagsOf, ImapSource, MailboxLease } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import { type FlagChange, withChange } from "../mail/flag-change.ts";
import { sameFlags } from "../mail/flags.ts";
import type { EncodedMailboxName, Uid, UidValidity } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { formatNumberSet, type UidSet, uidRunsOf, uidSetOf } from "../mail/number-set.ts";
import type { StoredMessage } from "../store/store.ts";
import { createAppend } from "./append-message.ts";
import type { Authority } from "./authority.ts";
import { findCopies } from "./find-copies.ts";
import { catchUp } from "./follow-mailbox.ts";
import { noteKeywords } from "./local-messages.ts";
import { lookAgain } from "./look-again.ts";
import { hasChanged, withFollowed, withMailbox } from "./mailbox-lease.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { isMarkedDeleted } from "./message-table.ts";
import { type Copies, moveByCopy, takeBackPart } from "./move-by-copy.ts";
import { takeDelta } from "./sync-mailbox.ts";
import { byUnchangedSince } from "./unchanged-since.ts";

export interface MessageChangeOptions {
  readonly source: ImapSource;
  readonly logger: Logger;
  /** Of the account: a change that was begun is brought to its end though the client has left. */
  readonly signal: AbortSignal;
  /** The mailbox, where it is open here. */
  readonly opened: (name: EncodedMailboxName) => MailboxMirror | undefined;
}

type MessageChanges = Omit<Authority, "changeName">;

export function createMessageChanges(options: MessageChangeOptions): MessageChanges {
  const { source, signal, logger } = options;

  /** With the mailbox selected read-write, beside other changes whose answers tell all that they do. */
  const beside = <T>(
    mailbox: MailboxMirror,
    modSeqs: boolean,
    work: (lease: MailboxLease) => Promise<T>,
  ): Promise<T> => {
    const { state } = mailbox;
    return withFollowed(state, { modSeqs }, (lease, record) =>
      state.shared(async () => {
        if (state.record.uidValidity !== record.uidValidity) throw hasChanged();
        return work(lease);
      }),
    );
  };
  /** The same, alone with the mailbox. */
  const alone = <T>(mailbox: MailboxMirror, work: (lease: MailboxLease) => Promise<T>): Promise<T> => {
    const { state } = mailbox;
    return withFollowed(state, {}, (lease, record) =>
      state.exclusive(async () => {
        if (state.record.uidValidity !== record.uidValidity) throw hasChanged();
        return work(lease);
      }),
    );
  };
  /** Whatever became of the change, its outcome stands: what cannot be read back now, the next delta brings. */
  const readBack = async ({ state }: MailboxMirror, lease: MailboxLease): Promise<void> => {
    try {
      await catchUp(state, lease, { unasked: true });
    } catch (error) {
      logger.debug({ err: error, mailbox: state.record.name }, "a change could not be read back");
    }
  };
  /** Others have changed something in between: nobody is told of a MODSEQ above theirs before they are known. */
  const fillGap = (mailbox: MailboxMirror): Promise<void> =>
    alone(mailbox, async (lease) => {
      const news = lease.told.take();
      await takeDelta(mailbox.state, lease, await lease.look(), { ...news, flags: undefined });
    }).catch((error: unknown) => {
      // It was made, and another selection tells of it.
      mailbox.state.follow(undefined);
      logger.debug({ err: error, mailbox: mailbox.state.record.name }, "a change could not be read back");
    });

  /** The new messages are listed here before their UIDs are told; where they cannot be, they are not told. */
  const published = async <Told extends { readonly uidValidity: UidValidity }>(
    target: EncodedMailboxName,
    copied: Told | undefined,
    added: readonly Uid[],
  ): Promise<Told | undefined> => {
    const mailbox = options.opened(target);
    if (!mailbox?.state.listed) return copied;
    try {
      await mailbox.publish(added, signal);
      return mailbox.state.record.uidValidity === copied?.uidValidity ? copied : undefined;
    } catch (error) {
      logger.warn({ err: error, mailbox: target }, "messages were added and could not be listed");
      return undefined;
    }
  };
  const publishedCopies = (
    target: EncodedMailboxName,
    copied: CopiedUids | undefined,
  ): Promise<CopiedUids | undefined> => published(target, copied, copied?.to ?? []);

  const store: MessageChanges["store"] = async (mailbox, asked, change, unchangedSince) => {
    const { state } = mailbox;
    let uids = asked;
    let isWhole = true;
    if (unchangedSince !== undefined) await unreadableIn(mailbox.metadata(remoteOf(state, asked)));
    try {
      return await beside(mailbox, unchangedSince !== undefined, async (lease) => {
        // Where the legacy server has no MODSEQs the condition is on ours.
        const isOurs = state.countsModSeqs || lease.examined.highestModSeq === undefined;
        const parted = byUnchangedSince(knownOf(state, asked), isOurs ? unchangedSince : undefined);
        if (isOurs && unchangedSince !== undefined) uids = parted.unchanged.map((message) => message.uid);
        if (uids.length === 0) return parted.modified;
        const seen: FlagsOf[] = [];
        let modified: readonly Uid[] = [];
        try {
          modified = await lease.store(
            uidSetOf(uids),
            change,
            (flags) => void seen.push(flags),
            isOurs ? undefined : unchangedSince,
          );
          return [...parted.modified, ...modified];
        } finally {
          const refused = new Set(modified);
          const changed = uids.filter((uid) => !refused.has(uid));
          isWhole = await takeAnswers(state, lease, { uids: changed, change, seen });
        }
      });
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error;
      await settled(error, signal, () =>
        alone(mailbox, async (lease) => {
          const now: FlagsOf[] = [];
          await lease.fetchFlags(uidSetOf(uids), (flags) => now.push(flags));
          state.commitFlags(now);
          return now.every(({ flags }) => sameFlags(flags, withChange(flags, change)));
        }),
      );
      return [];
    } finally {
      if (!isWhole) await fillGap(mailbox);
    }
  };

  const besideCopies: typeof alone = (mailbox, work) => beside(mailbox, false, work);

  const expunge: MessageChanges["expunge"] = (mailbox, uids) => {
    const work = async (lease: MailboxLease): Promise<void> => {
      const only = uids && (await scopeOf(lease, uids));
      if (only !== "nothing") await lease.expunge(only && uidSetOf(only));
    };
    return remove(mailbox, uids, work, async (lease) => {
      const named = uids && new Set(uids);
      return !(await lease.listDeleted()).some((uid) => named?.has(uid) ?? true);
    });
  };

  /** `isDone` is asked where an answer was lost, once what is there now is known here. */
  const remove = async (
    mailbox: MailboxMirror,
    uids: readonly Uid[] | undefined,
    work: (lease: MailboxLease) => Promise<void>,
    isDone: (lease: MailboxLease) => Promise<boolean>,
  ): Promise<void> => {
    const { state } = mailbox;
    try {
      await alone(mailbox, async (lease) => {
        state.brake.expect(uids ?? state.table.uids.filter((uid) => isMarkedDeleted(state.table, uid)));
        try {
          await work(lease);
        } finally {
          await readBack(mailbox, lease);
        }
      });
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error;
      await settled(error, signal, () =>
        alone(mailbox, async (lease) => {
          await readBack(mailbox, lease);
          return isDone(lease);
        }),
      );
    }
  };

  /** Which UIDs to name: none where the server has no UIDPLUS and no other message would go along. */
  const scopeOf = async (
    lease: MailboxLease,
    uids: readonly Uid[],
  ): Promise<readonly Uid[] | undefined | "nothing"> => {
    if (lease.capabilities.has("UIDPLUS")) return uids;
    const named = new Set(uids);
    const deleted = await lease.listDeleted();
    if (!deleted.some((uid) => named.has(uid))) return "nothing";
    if (deleted.every((uid) => named.has(uid))) return undefined;
    throw new MailError("CANNOT", "Other messages are marked for deletion, and would be expunged along");
  };

  const transfer = async (
    kind: "copy" | "move",
    mailbox: MailboxMirror,
    uids: readonly Uid[],
    target: EncodedMailboxName,
  ): Promise<CopiedUids | undefined> => {
    const { state } = mailbox;
    let before: { readonly uidNext: Uid | undefined } | undefined;
    // What to look for if the answer is lost: by then the messages may be gone from here.
    await unreadableIn(mailbox.metadata(remoteOf(state, uids)));
    const messages = knownOf(state, uids);
    try {
      const within = kind === "move" ? alone : besideCopies;
      const copied = await within(mailbox, async (lease) => {
        // From which UID on its copies will be: known before it is sent, since both answers may be lost.
        before = await lease.status(target).catch(() => undefined);
        if (kind === "move") state.brake.expect(uids);
        try {
          return await lease[kind](setOf(uids, state.table.uids), target);
        } finally {
          if (kind === "move") await readBack(mailbox, lease);
        }
      });
      return await publishedCopies(target, copied);
    } catch (error) {
      // What is moved stays so (RFC 6851 3.3); copies are all there, or none.
      if (kind === "copy" && error instanceof CopiedInPart)
        await takeBackPart(copiesOf(target, uids, messages), error, before?.uidNext);
      if (!(error instanceof OutcomeUnknown)) throw error;
      return publishedCopies(
        target,
        await outcomeOf(error, kind, mailbox, { uids, messages, target, from: before?.uidNext }),
      );
    }
  };

  const copiesOf = (
    target: EncodedMailboxName,
    uids: readonly Uid[],
    messages: readonly MessageMeta[],
  ): Copies => ({
    source,
    signal,
    uids,
    messages,
    target,
    onRemoving: (copies) => options.opened(target)?.state.brake.expect(copies),
  });

  interface Transfer {
    readonly uids: readonly Uid[];
    readonly messages: readonly MessageMeta[];
    readonly target: EncodedMailboxName;
    /** UIDNEXT of the target before. */
    readonly from: Uid | undefined;
  }

  const outcomeOf = async (
    lost: OutcomeUnknown,
    kind: "copy" | "move",
    mailbox: MailboxMirror,
    { uids, messages, target, from }: Transfer,
  ): Promise<CopiedUids | undefined> => {
    if (from === undefined || messages.length < uids.length) throw lost;
    const found = await findCopies({ source, signal, messages, target, from }).catch(
      () => "unknown" as const,
    );
    if (found === "unknown") throw lost;
    if (kind === "move") {
      const left = await leftOf(mailbox, uids, found ? 0 : uids.length);
      if (left !== (found ? 0 : uids.length)) throw lost;
    }
    if (!found) throw new MailError("UNAVAILABLE", lost.message, lost);
    return found;
  };

  /** How many of a MOVE's messages are still there: a server copies them first, and takes its time. */
  const leftOf = async (mailbox: MailboxMirror, uids: readonly Uid[], expected: number): Promise<number> => {
    let left = uids.length;
    await lookAgain(signal, async () => {
      await mailbox.sync(signal);
      left = uids.filter((uid) => mailbox.state.table.get(uid) !== undefined).length;
      return left === expected || undefined;
    }).catch((cause: unknown) => {
      throw new OutcomeUnknown(cause);
    });
    return left;
  };

  const copy: MessageChanges["copy"] = (mailbox, uids, target) => transfer("copy", mailbox, uids, target);

  return {
    append: createAppend({
      source,
      signal,
      opened: (name) => {
        const state = options.opened(name)?.state;
        return state?.listed ? state : undefined;
      },
      published: (target, appended) => published(target, appended, appended ? [appended.uid] : []),
    }),
    store,
    expunge,
    copy,
    async move(mailbox, uids, target) {
      const hasMove = await withMailbox(
        mailbox.state,
        { priority: "interactive" },
        async ({ capabilities }) => capabilities.has("MOVE"),
      );
      if (hasMove) return transfer("move", mailbox, uids, target);
      await mailbox.metadata(remoteOf(mailbox.state, uids));
      return moveByCopy({
        ...copiesOf(target, uids, knownOf(mailbox.state, uids)),
        from: mailbox.state.record.name,
        copy: () => copy(mailbox, uids, target),
        remove: (work) =>
          remove(mailbox, uids, work, async (lease) => {
            const there = new Set(await lease.listUids());
            return !uids.some((uid) => there.has(uid));
          }),
      });
    },
  };
}

interface Stored {
  /** Those that are changed, as far as is known. */
  readonly uids: readonly Uid[];
  readonly change: FlagChange;
  readonly seen: readonly FlagsOf[];
}

/**
 * What STORE was answered is the change. Servers leave out messages that were so before, and some others: those are
 * asked for. False where something else has changed that nobody has told of.
 */
async function takeAnswers(
  state: MailboxState,
  lease: MailboxLease,
  { uids, change, seen }: Stored,
): Promise<boolean> {
  // More than is held, or told without a UID: only a look tells all of it.
  if (lease.told.isPartial) return false;
  const answered = [...seen, ...lease.told.takeFlags()];
  noteKeywords(state, answered);
  if (!state.commitTold(answered, [])) return false;
  const unanswered = knownOf(state, uids).filter(({ flags }) => !sameFlags(flags, withChange(flags, change)));
  if (unanswered.length === 0) return true;
  await lease.tellFlags({ uids: uidSetOf(unanswered.map(({ uid }) => uid)) }).catch(() => {
    // Another selection tells.
    state.follow(undefined);
  });
  return !lease.told.isPartial && state.commitTold(lease.told.takeFlags(), []);
}

function remoteOf({ table }: MailboxState, uids: readonly Uid[]): readonly Uid[] {
  return uids.filter((uid) => table.get(uid)?.presence === "remote");
}

function knownOf({ table }: MailboxState, uids: readonly Uid[]): readonly (StoredMessage & MessageMeta)[] {
  return uids.map((uid) => table.get(uid)).filter((message) => isKnown(message));
}

function isKnown(message: StoredMessage | undefined): message is StoredMessage & MessageMeta {
  return message !== undefined && message.presence !== "remote";
}

/** A command line of 8,192 bytes has to be enough for a client (RFC 7162 4), with the mailbox's name in it. */
const maxSetChars = 6_000;

/** With ranges over the gaps between UIDs that follow each other, where the set would be long otherwise. */
function setOf(uids: readonly Uid[], among: readonly Uid[]): UidSet {
  const exact = uidSetOf(uids);
  return formatNumberSet(exact).length <= maxSetChars ? exact : uidRunsOf(uids, among);
}

/** Tells the truth about a change whose answer never came: it was done, it was not, or nobody knows. */
async function settled(
  lost: OutcomeUnknown,
  signal: AbortSignal,
  isDone: () => Promise<boolean>,
): Promise<void> {
  const look = async (): Promise<true | undefined> => (await isDone()) || undefined;
  const done = await lookAgain(signal, look).catch((cause: unknown) => {
    throw new OutcomeUnknown(cause);
  });
  if (!done) throw new MailError("UNAVAILABLE", lost.message, lost);
}
