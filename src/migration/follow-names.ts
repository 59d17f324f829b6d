/**
 * Keeps the account's mailboxes equal to what the old server lists: takes in its names, and what a look leaves out goes
 * when it is certain (absent-mailboxes.ts). One look at a time.
 */
import type { ImapSource, Listing } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { MailboxId, UidValidity } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { singleFlight, takeTurns } from "../waiting.ts";
import { type AbsentMailboxes, createAbsentMailboxes, type StatusAnswer } from "./absent-mailboxes.ts";
import { noteLeft } from "./left-names.ts";
import { commitListing, fetchListing, isSelectable, nothingListed } from "./listing.ts";
import { noteAbsence } from "./mailbox-doubts.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { noteForgotten } from "./mod-seqs.ts";
import { shownValidities } from "./shown-validities.ts";
import { noteLoss } from "./slow-losses.ts";

/** What it takes for a mailbox to be gone, and how long its files are kept then. */
export interface DeletionRules {
  readonly confirmAfterMs: number;
  readonly keepMs: number;
}

export const defaultDeletionRules: DeletionRules = { confirmAfterMs: 30_000, keepMs: 14 * 86_400_000 };

export interface FollowNamesOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly rules: DeletionRules;
  readonly mirrors: Map<MailboxId, Promise<MailboxMirror>>;
  readonly opened: Map<MailboxId, MailboxMirror>;
  readonly open: (record: MailboxRecord) => Promise<MailboxMirror>;
  /** What barred something may do so no more. */
  readonly onSettled: () => void;
}

export interface NameFollower {
  /** Looks at the names now; joined by who asks meanwhile. */
  refresh(): Promise<void>;
  /** The names are not looked at meanwhile. */
  unseen<T>(work: () => Promise<T>): Promise<T>;
  readonly absent: AbsentMailboxes;
}

export function followNames(options: FollowNamesOptions): NameFollower {
  const { store, source, logger, signal, rules, mirrors, opened, open } = options;
  const absent = createAbsentMailboxes({
    store,
    logger,
    confirmAfterMs: rules.confirmAfterMs,
    uidsOf: async (record) => (await open(record)).state.table.uids,
    ask: (names) =>
      source.use({ priority: "interactive", signal }, async (lease) => {
        const answers: StatusAnswer[] = [];
        for (const name of names) answers.push(...(await Promise.allSettled([lease.status(name)])));
        return answers;
      }),
  });
  let timer: NodeJS.Timeout | undefined;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  const forget = async (record: MailboxRecord, isWanted: boolean): Promise<void> => {
    const mirror = await open(record).catch(() => undefined);
    mirrors.delete(record.id);
    opened.delete(record.id);
    if (mirror?.state.countsModSeqs) noteForgotten(store, mirror.state.record.highestModSeq);
    if (!isWanted) noteLoss(store, store.countMessages(record.id));
    if (mirror) noteLeft(store, mirror.state.record, mirror.state.table);
    mirror?.state.announceGone("Mailbox was deleted");
    // What is held is here only, and nobody has decided on it: a rename under a new UIDVALIDITY must not take it along.
    const isHolding = (mirror?.state.brake.held.length ?? 0) > 0;
    await (isWanted && !isHolding ? store.dropMailbox(record.id) : store.setMailboxAside(record.id));
    logger.info({ mailbox: record.name, isWanted }, "mailbox is gone from the legacy server");
  };
  /** Mailboxes of other users and shared ones are listed, and are none of this account's. */
  const isForeign = (listing: Listing): ((record: MailboxRecord) => boolean) => {
    const listed = new Set(listing.mailboxes.filter(isSelectable).map(({ name }) => name));
    return ({ name }) => listed.has(name);
  };
  const take = async (): Promise<void> => {
    const wereDoubted = absent.isAny;
    let listing = nothingListed;
    let foreign: readonly MailboxRecord[] = [];
    const { gone, replaced, shut } = await absent.judge(async () => {
      listing = await fetchListing(source, "interactive", signal);
      const unlisted = commitListing(store, listing);
      doubtTwins(unlisted.filter(({ id }) => absent.reasonOf(id) === undefined));
      foreign = unlisted.filter(isForeign(listing));
      return unlisted.filter((one) => !foreign.includes(one));
    });
    for (const { record, isWanted } of gone) await forgetInTurn(record, isWanted);
    for (const record of [...foreign, ...replaced]) await forgetInTurn(record, false);
    if (replaced.length > 0) commitListing(store, listing);
    for (const { id } of shut) opened.get(id)?.state.announceGone("Mailbox was deleted", false);
    tellDoubts();
    lookAgain();
    if (wereDoubted && !absent.isAny) options.onSettled();
  };
  /** What is not listed any more may have been put in another's place: one of the same UIDVALIDITY, whose session goes on. */
  const doubtTwins = (unlisted: readonly MailboxRecord[]): void => {
    const told = ({ id, uidValidity }: MailboxRecord): UidValidity | undefined =>
      uidValidity && shownValidities(store).toldOf(id, uidValidity);
    const left = new Set(unlisted.map(({ id }) => id));
    const validities = new Set(unlisted.map(told));
    for (const [id, { state }] of opened)
      if (!left.has(id) && validities.has(told(state.record))) state.follow(undefined);
  };
  const forgetInTurn = (record: MailboxRecord, isWanted: boolean): Promise<void> => {
    // Another one may have taken our place.
    signal.throwIfAborted();
    return forget(record, isWanted);
  };
  const tellDoubts = (): void => {
    for (const { state } of opened.values()) noteAbsence(state, absent);
  };
  /** Nobody may ask meanwhile. */
  const lookAgain = (): void => {
    clearTimeout(timer);
    const inMs = absent.againInMs();
    if (inMs === undefined || signal.aborted) return;
    timer = setTimeout(() => {
      refresh().catch((error: unknown) => logger.debug({ err: error }, "names could not be looked at again"));
    }, inMs);
  };
  const namesInTurn = takeTurns();
  const refresh = singleFlight(() => namesInTurn(take));
  return { refresh, unseen: namesInTurn, absent };
}
