/**
 * How far an old server with POP3 only is believed when it lists less than before: most of a small mailbox is gone
 * only when a later look says so, too; most of a big one when somebody has decided (deletion-brake.ts).
 */
import type { Uid } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { compareUids } from "./compare.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { forgetLosses, isLossOfMost, noteLoss } from "./slow-losses.ts";

export interface ListingBelief {
  /** Takes those that are here and not listed any more; gives back those of which it is not believed. */
  judge(left: readonly MaildropEntry[]): readonly MaildropEntry[];
  /** Somebody has decided: what is held now is gone. */
  release(): void;
  /** A client deletes so many at the old server; which ones they are is not known. */
  expectAny(count: number): void;
  /** When those that are doubted are to be looked at once more, in milliseconds; undefined where there are none. */
  againInMs(): number | undefined;
}

/** So few come and go every day. */
const few = 2;
const missedKey = "missed";

export interface ListingBeliefOptions {
  readonly state: MailboxState;
  /** A server's bad moment is over by then. */
  readonly confirmAfterMs: number;
}

export function createListingBelief({ state, confirmAfterMs }: ListingBeliefOptions): ListingBelief {
  const { store, brake, logger } = state;
  /** Those that are doubted: when each was first missed, by UID; over a restart, too. */
  let missed: ReadonlyMap<Uid, number> = new Map(JSON.parse(store.readSetting(missedKey) ?? "[]"));
  const decided = new Set<Uid>();
  let unnamed = 0;

  const keepMissed = (next: ReadonlyMap<Uid, number>): void => {
    if (next.size === 0 && missed.size === 0) return;
    missed = next;
    store.writeSetting(missedKey, JSON.stringify([...next]));
  };
  const isSudden = (count: number, settled: number): boolean => {
    const total = state.table.uids.length - brake.held.length - settled;
    return count > 0 && (count === total || (count > few && count > total / 2));
  };
  const doubt = (left: readonly Uid[]): readonly Uid[] => {
    const now = Date.now();
    const open = left.filter((uid) => !decided.has(uid));
    decided.clear();
    const isDoubtful = isSudden(open.length - unnamed, left.length - open.length);
    unnamed = 0;
    const doubted = open.filter((uid) => isDoubtful || missed.has(uid));
    keepMissed(new Map(doubted.map((uid) => [uid, missed.get(uid) ?? now])));
    return doubted.filter((uid) => isYoung(missed.get(uid) ?? now));
  };
  /** A clock that has been set back is no reason to wait for ever. */
  const isYoung = (since: number): boolean => Math.abs(Date.now() - since) < confirmAfterMs;

  return {
    judge(left) {
      const uidOf = ({ message }: MaildropEntry): Uid[] => (message ? [message.uid] : []);
      const gone = new Set(left.flatMap(uidOf));
      let believed = 0;
      if (gone.size > 0 || brake.held.length > 0) {
        const uids = state.table.uids.filter((one) => !gone.has(one));
        const before = brake.held.length;
        const listed = { uids, ...compareUids(brake.withoutHeld(state.table.uids), uids) };
        const unasked = brake.unasked(state.table, listed.vanished);
        const accident = isLossOfMost(store, unasked) ? "slow" : "none";
        const { vanished } = brake.judge(state.table, listed, accident);
        believed = Math.min(unasked, vanished.length);
        if (brake.held.length > before)
          logger.error({ messages: brake.held.length }, "the old POP3 server suddenly lists much less");
      }
      const doubted = new Set(doubt([...gone].filter((uid) => !brake.isHeld(uid))));
      noteLoss(store, Math.max(0, believed - doubted.size));
      if (doubted.size > 0)
        logger.warn({ messages: doubted.size }, "the old POP3 server lists less; it is asked once more");
      return left.filter((entry) => uidOf(entry).some((uid) => brake.isHeld(uid) || doubted.has(uid)));
    },
    release() {
      for (const uid of brake.held) decided.add(uid);
      brake.release();
      forgetLosses(store);
    },
    expectAny(count) {
      unnamed += count;
      brake.expectAny(count);
    },
    againInMs() {
      const times = [...missed.values()];
      return times.length === 0
        ? undefined
        : Math.max(0, Math.max(...times) + confirmAfterMs - Date.now()) + marginMs;
    },
  };
}

const marginMs = 1_000;
