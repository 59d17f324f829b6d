/**
 * What an operator decides on what the legacy server says and is not believed: deletions that the brake holds, and a
 * UIDVALIDITY that has changed. It is believed after all, or the messages are rescued.
 */
import { MailError } from "../errors.ts";
import type { Listing } from "../legacy/source.ts";
import { type EncodedMailboxName, encodedMailboxName, type MailboxId, type Uid } from "../mail/ids.ts";
import { piecesOf } from "../mail/message-content.ts";
import type { AccountStore } from "../store/store.ts";
import { waitWith } from "../waiting.ts";
import type { Authority } from "./authority.ts";
import type { NameFollower } from "./follow-names.ts";
import { isSelectable } from "./listing.ts";
import { forgetLost, isShownAnew, lostIn, rescueLost } from "./lost-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { forgetLosses } from "./slow-losses.ts";

export interface HeldMailbox {
  readonly mailbox: EncodedMailboxName;
  readonly messages: number;
  /** Why its migration has stopped; undefined where deletions are held. */
  readonly problem?: string | undefined;
  /** It is the mailbox that is missing. */
  readonly isMissing?: boolean;
}

export interface HeldDeletions {
  list(): Promise<readonly HeldMailbox[]>;
  /** The messages go here, too; the files of a mailbox that is missing are set aside. `only`: of these mailboxes. */
  accept(signal: AbortSignal, only?: readonly EncodedMailboxName[]): Promise<void>;
  /** The messages are put into a mailbox of their own, where there are any; its name. */
  refuse(signal: AbortSignal, only?: readonly EncodedMailboxName[]): Promise<EncodedMailboxName | undefined>;
  /** The same of a mailbox that is shown anew: what the old server has no more goes, or is put into that mailbox. */
  acceptOthers(mailbox: EncodedMailboxName): Promise<void>;
  refuseOthers(mailbox: EncodedMailboxName, signal: AbortSignal): Promise<void>;
}

export interface HeldDeletionsOptions {
  readonly store: AccountStore;
  readonly authority: Authority;
  readonly listing: (signal: AbortSignal) => Promise<Listing>;
  readonly mailboxes: () => Promise<readonly MailboxMirror[]>;
  readonly names: Pick<NameFollower, "absent" | "refresh">;
}

/** Where nothing is held. */
export const nothingHeld: HeldDeletions = {
  list: async () => [],
  accept: async () => undefined,
  refuse: async () => undefined,
  acceptOthers: async () => undefined,
  refuseOthers: async () => undefined,
};

export function createHeldDeletions(options: HeldDeletionsOptions): HeldDeletions {
  const { store, authority, names } = options;
  const mailboxesOf = async (only?: readonly EncodedMailboxName[]): Promise<readonly MailboxMirror[]> =>
    (await options.mailboxes()).filter(({ state }) => only?.includes(state.record.name) ?? true);
  const holding = async (only?: readonly EncodedMailboxName[]): Promise<readonly MailboxMirror[]> =>
    (await mailboxesOf(only)).filter(({ state }) => state.brake.held.length > 0);
  const missingOf = async (only?: readonly EncodedMailboxName[]): Promise<readonly MailboxMirror[]> =>
    (await mailboxesOf(only)).filter(({ state }) => names.absent.reasonOf(state.record.id) !== undefined);
  const release = async (mailbox: MailboxMirror, signal: AbortSignal): Promise<void> => {
    mailbox.state.brake.release();
    forgetLosses(store);
    await mailbox.sync(signal);
  };
  const goOn = (mailboxes: readonly MailboxMirror[]): void => {
    for (const { state } of mailboxes)
      if (state.problem !== undefined && isShownAnew(state)) state.forgetProblem();
  };
  const rescueOthers = async (
    mailboxes: ReadonlySet<MailboxId>,
    signal: AbortSignal,
  ): Promise<EncodedMailboxName | undefined> => {
    if (mailboxes.size === 0) return undefined;
    const target = await makeRescueMailbox(authority, await options.listing(signal));
    await rescueLost({ store, authority, target, signal }, mailboxes);
    return target;
  };
  const refuseAllOthers = async (signal: AbortSignal): Promise<EncodedMailboxName | undefined> => {
    const target = await rescueOthers(lostIn(store), signal);
    goOn(await options.mailboxes());
    return target;
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
      const missing = (await missingOf()).map(({ state: { record, table } }) => ({
        mailbox: record.name,
        messages: table.uids.length,
        problem: names.absent.reasonOf(record.id),
        isMissing: true,
      }));
      return [...held, ...stopped, ...missing];
    },
    async accept(signal, only) {
      const missing = await missingOf(only);
      if (missing.length > 0) {
        forgetLosses(store);
        names.absent.release(new Set(missing.map(({ state }) => state.record.id)));
        await waitWith(names.refresh(), signal);
      }
      for (const mailbox of await holding(only)) await release(mailbox, signal);
      if (only) return;
      forgetLost(store, lostIn(store));
      for (const { state } of await options.mailboxes())
        if (state.problem !== undefined) state.forgetProblem();
    },
    async refuse(signal, only) {
      const mailboxes = await holding(only);
      const { held } = names.absent;
      const missing = (await missingOf(only)).filter(({ state }) => held.has(state.record.id));
      const lost = new Set(missing.map(({ state }) => state.record.id));
      if (mailboxes.length + missing.length === 0) return only ? undefined : refuseAllOthers(signal);
      const target = await makeRescueMailbox(authority, await options.listing(signal));
      for (const mailbox of mailboxes) {
        for (const uid of mailbox.state.brake.held) {
          signal.throwIfAborted();
          await rescue(store, authority, mailbox, uid, target);
        }
        await release(mailbox, signal);
      }
      for (const mailbox of missing) {
        for (const uid of mailbox.state.table.uids) {
          signal.throwIfAborted();
          await rescue(store, authority, mailbox, uid, target);
        }
      }
      if (missing.length > 0) {
        forgetLosses(store);
        names.absent.release(lost);
        await waitWith(names.refresh(), signal);
      }
      if (!only) await refuseAllOthers(signal);
      return target;
    },
    async acceptOthers(name) {
      const mailboxes = await mailboxesOf([name]);
      forgetLost(store, new Set(mailboxes.map(({ state }) => state.record.id)));
      goOn(mailboxes);
    },
    async refuseOthers(name, signal) {
      const mailboxes = await mailboxesOf([name]);
      await rescueOthers(new Set(mailboxes.map(({ state }) => state.record.id)), signal);
      goOn(mailboxes);
    },
  };
}

/** `Rescued`, in the personal namespace. */
export async function makeRescueMailbox(
  authority: Authority,
  { namespaces, mailboxes }: Listing,
): Promise<EncodedMailboxName> {
  const name = encodedMailboxName(`${namespaces.personal?.[0]?.prefix ?? ""}Rescued`);
  // Not every server says by a code that it is there already.
  if (mailboxes.some((one) => one.name === name && isSelectable(one))) return name;
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
