/**
 * APPEND, written through: the message lies whole on our disk before a connection is taken. When its answer
 * is lost, or does not tell the UID, the message is looked for above the UIDNEXT of before, by its bytes.
 */
import { MailError, OutcomeUnknown } from "../errors.ts";
import type { ImapSource, MailboxLease, MessageToAppend } from "../legacy/source.ts";
import { flagsOf, hasFlag } from "../mail/flags.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import type { AppendedUid } from "../mail/new-message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { Authority } from "./authority.ts";
import { digestingSink, digestOf } from "./digests.ts";
import { lenientDigest } from "./lenient-digest.ts";
import { lookAgain } from "./look-again.ts";
import { withFollowed } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";

export interface AppendOptions {
  readonly source: ImapSource;
  readonly signal: AbortSignal;
  /** What is known of the mailbox, where it is open here and listed. */
  readonly opened: (name: EncodedMailboxName) => MailboxState | undefined;
  /** Makes what was added known here; the UID is told only where that was done. */
  readonly published: (
    target: EncodedMailboxName,
    appended: AppendedUid | undefined,
  ) => Promise<AppendedUid | undefined>;
}

/** A longer one would hold up all who share the mailbox's connection. */
const maxSharedBytes = 256 << 10;

export function createAppend({ source, signal, opened, published }: AppendOptions): Authority["append"] {
  const request = { priority: "interactive", signal } as const;

  /** On any connection. */
  const appendAnyhow = (
    target: EncodedMailboxName,
    message: MessageToAppend,
    note: (from: Uid | undefined) => void,
  ): Promise<AppendedUid | undefined> =>
    source.use({ ...request, apart: message.content.sizeBytes > maxSharedBytes }, async (lease) => {
      // Also what tells that the connection is alive: nothing is sent twice.
      note(
        await lease.status(target).then(
          ({ uidNext }) => uidNext,
          (error: unknown) => unlessLost(error),
        ),
      );
      return lease.append(target, message);
    });

  return async (target, { incoming, flags, internalDate }) => {
    const content = incoming.open();
    const message = { content, flags, internalDate };
    let from: Uid | undefined;
    const note = (uidNext: Uid | undefined): void => {
      from = uidNext;
    };
    try {
      const state = content.sizeBytes > maxSharedBytes ? undefined : opened(target);
      const told =
        state && !state.isTransient
          ? await appendHere(state, message, note)
          : await appendAnyhow(target, message, note);
      // Below UIDNEXT is another message's: clients would take one for the other.
      const appended = told && from !== undefined && told.uid < from ? undefined : told;
      return await published(
        target,
        appended ?? (await find(target, content, from, flags).catch(() => undefined)),
      );
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error;
      return await published(target, await findOut(target, content, from, flags, error));
    } finally {
      content.close();
    }
  };

  async function findOut(
    target: EncodedMailboxName,
    content: MessageContent,
    from: Uid | undefined,
    flags: readonly string[],
    lost: OutcomeUnknown,
  ): Promise<AppendedUid> {
    if (from === undefined) throw lost;
    const found = await lookAgain(signal, () => find(target, content, from, flags)).catch(
      (cause: unknown) => {
        throw new OutcomeUnknown(cause);
      },
    );
    if (!found) throw new MailError("UNAVAILABLE", lost.message, lost);
    return found;
  }

  async function find(
    target: EncodedMailboxName,
    content: MessageContent,
    from: Uid | undefined,
    flags: readonly string[],
  ): Promise<AppendedUid | undefined> {
    if (from === undefined) return undefined;
    const wanted = await digestOf(content, lenientDigest());
    return source.useMailbox(target, { ...request, write: true }, async (lease) => {
      const arrived = (await lease.listUids()).filter((uid) => uid >= from);
      if (arrived.length === 0) return undefined;
      const digests = new Map<Uid, string>();
      await lease.fetchBodies(uidSetOf(arrived), digestingSink(digests, lenientDigest));
      const uid = arrived.find((one) => digests.get(one) === wanted);
      const { uidValidity } = lease.examined;
      if (uid === undefined || uidValidity === undefined) return undefined;
      // Some servers (Mailutils) take a message in without its flags: a draft would be none, and what was sent unread.
      await giveFlags(lease, uid, flags).catch(() => undefined);
      return { uidValidity, uid };
    });
  }
}

/** On the mailbox's own connection, which tells at once what comes of it; `note` is told UIDNEXT of before. */
function appendHere(
  state: MailboxState,
  message: MessageToAppend,
  note: (from: Uid) => void,
): Promise<AppendedUid | undefined> {
  return withFollowed(state, { write: false }, (lease, { name }) =>
    state.shared(async () => {
      note(state.record.uidNext);
      return lease.append(name, message);
    }),
  );
}

async function giveFlags(lease: MailboxLease, uid: Uid, flags: readonly string[]): Promise<void> {
  const set = uidSetOf([uid]);
  let missing: readonly string[] = [];
  await lease.fetchFlags(set, (told) => {
    missing = flagsOf(flags).filter((flag) => !hasFlag(told.flags, flag));
  });
  if (missing.length > 0) await lease.store(set, { kind: "add", flags: missing }, () => undefined);
}

function unlessLost(error: unknown): undefined {
  // A mailbox that does not exist is refused by APPEND itself, in the server's words.
  if (error instanceof MailError && error.code !== "UNAVAILABLE") return undefined;
  throw error;
}
