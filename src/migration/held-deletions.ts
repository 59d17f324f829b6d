/**
 * What an operator decides on what the legacy server says and is not believed: deletions that the brake holds, and a
 * UIDVALIDITY that has changed. It is believed after all, or the messages are rescued.
 */
import { MailError } from "../errors.ts";
import type { Listing } from "../legacy/source.ts";
import { type EncodedMailboxName, encodedMailboxName, type Uid } from "../mail/ids.ts";
import { piecesOf } from "../mail/message-content.ts";
import type { AccountStore } from "../store/store.ts";
import type { Authority } from "./authority.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";

export interface HeldMailbox {
  readonly mailbox: EncodedMailboxName;
  readonly messages: number;
  /** Why its migration has stopped; undefined where deletions are held. */
  readonly problem?: string | undefined;
}

export interface HeldDeletions {
  list(): Promise<readonly HeldMailbox[]>;
  /** The messages go here, too. `names`: of these mailboxes, and nothing else. */
  accept(signal: AbortSignal, names?: readonly EncodedMailboxName[]): Promise<void>;
  /** The messages are put into a mailbox of their own, where there are any; its name. */
  refuse(signal: AbortSignal, names?: readonly EncodedMailboxName[]): Promise<EncodedMailboxName | undefined>;
}

export interface HeldDeletionsOptions {
  readonly store: AccountStore;
  readonly authority: Authority;
  readonly listing: (signal: AbortSignal) => Promise<Listing>;
  readonly mailboxes: () => Promise<readonly MailboxMirror[]>;
}

/** Where nothing is held. */
export const nothingHeld: HeldDeletions = {
  list: async () => [],
  accept: async () => undefined,
  refuse: async () => undefined,
};

export function createHeldDeletions(options: HeldDeletionsOptions): HeldDeletions {
  const { store, authority } = options;
  const holding = async (names?: readonly EncodedMailboxName[]): Promise<readonly MailboxMirror[]> =>
    (await options.mailboxes()).filter(
      ({ state: { record, brake } }) =>
        brake.held.length > 0 && (names === undefined || names.includes(record.name)),
    );
  const release = async (mailbox: MailboxMirror, signal: AbortSignal): Promise<void> => {
    mailbox.state.brake.release();
    await mailbox.sync(signal);
  };
  return {
    async list() {
      const held = (await holding()).map(({ state: { record, brake } }) => ({
        mailbox: record.name,
        messages: brake.held.length,
      }));
      const stopped = (await options.mailboxes()).flatMap(({ state: { record, table, problem } }) =>
        problem === undefined ? [] : [{ mailbox: record.name, messages: table.uids.length, problem }],
      );
      return [...held, ...stopped];
    },
    async accept(signal, names) {
      for (const mailbox of await holding(names)) await release(mailbox, signal);
      if (names) return;
      for (const { state } of await options.mailboxes())
        if (state.problem !== undefined) state.forgetProblem();
    },
    async refuse(signal, names) {
      const mailboxes = await holding(names);
      if (mailboxes.length === 0) return undefined;
      const target = await makeRescueMailbox(authority, await options.listing(signal));
      for (const mailbox of mailboxes) {
        for (const uid of mailbox.state.brake.held) {
          signal.throwIfAborted();
          await rescue(store, authority, mailbox, uid, target);
        }
        await release(mailbox, signal);
      }
      return target;
    },
  };
}

/** `Rescued`, in the personal namespace. */
export async function makeRescueMailbox(
  authority: Authority,
  { namespaces }: Listing,
): Promise<EncodedMailboxName> {
  const name = encodedMailboxName(`${namespaces.personal?.[0]?.prefix ?? ""}Rescued`);
  await authority.changeName({ kind: "CREATE", name }).catch((error: unknown) => {
    if (!(error instanceof MailError && error.code === "ALREADYEXISTS")) throw error;
  });
  return name;
}

/** One whose bytes had not come yet is lost, as it is at the old server. */
async function rescue(
  store: AccountStore,
  authority: Authority,
  { state }: MailboxMirror,
  uid: Uid,
  target: EncodedMailboxName,
): Promise<void> {
  const message = state.table.get(uid);
  if (message?.presence !== "full") {
    state.logger.error({ mailbox: state.record.name, uid }, "a message could not be rescued: it is not here");
    return;
  }
  const content = store.openMessage(state.record, message);
  const incoming = store.receive(content.sizeBytes);
  try {
    for await (const bytes of piecesOf(content)) await incoming.write(bytes);
    const { flags, internalDate } = message;
    await authority.append(target, { incoming, flags, internalDate });
  } finally {
    content.close();
    incoming.discard();
  }
}
