/**
 * Stops at deletions that look like an accident of the old server: more than half of a mailbox of 50 messages or
 * more, or of an account of as many (account-loss.ts), gone at once, that no client has marked and nobody deleted
 * through Mailferry. They are held: still there for clients, until somebody decides.
 */
import { type MailboxId, type Uid, uid } from "../mail/ids.ts";
import { type UidSet, uidSetOf } from "../mail/number-set.ts";
import { numbersOf } from "../mail/range-sets.ts";
import type { AccountStore } from "../store/store.ts";
import type { UidDifference } from "./compare.ts";
import { isMarkedDeleted, type MessageTable } from "./message-table.ts";

export interface DeletionBrake {
  /** Ascending. */
  readonly held: readonly Uid[];
  isHeld(uid: Uid): boolean;
  /** What the legacy server is taken to have. Ascending. */
  withoutHeld(uids: readonly Uid[]): readonly Uid[];
  /** Their deletion has been asked for here. */
  expect(uids: readonly Uid[]): void;
  /** They have arrived, and were never listed before. */
  noteArrived(uids: readonly Uid[]): void;
  /** The deletion of so many has been asked for here; which ones they are is not known. */
  expectAny(count: number): void;
  /**
   * Takes a listing, compared to the table without what is held; returns it compared to the whole table, with what
   * is held taken for still there. `accident`: most of the account has gone with them, at once or in the last hour.
   */
  judge(table: MessageTable, listed: ComparedListing, accident?: Accident): ComparedListing;
  /** How many of these nobody has deleted here, nor marked. */
  unasked(table: MessageTable, vanished: readonly Uid[]): number;
  /** Most of the mailbox, and not deleted here: how many; 0 where it is no more than people delete in a moment. */
  suddenlyGone(table: MessageTable, vanished: readonly Uid[]): number;
  /** The next listing is believed. */
  release(): void;
  /** The mailbox is another one. */
  reset(): void;
}

export interface ComparedListing extends UidDifference {
  readonly uids: readonly Uid[];
}

export type Accident = "none" | "sudden" | "slow";

export const brakeFrom = 50;
/** So few come and go every day. */
const few = 2;
const youngMs = 10 * 60_000;

export function createDeletionBrake(store: AccountStore, mailbox: MailboxId): DeletionBrake {
  const key = `held:${mailbox}`;
  let held = readHeld(store.readSetting(key));
  let heldSet: ReadonlySet<Uid> = new Set(held);
  const expected = new Set<Uid>();
  const hold = (uids: readonly Uid[]): void => {
    if (uids.length === held.length && uids.every((one, index) => one === held[index])) return;
    store.writeSetting(key, uids.length === 0 ? "" : JSON.stringify(uidSetOf(uids)));
    held = uids;
    heldSet = new Set(uids);
  };
  /** Of messages that came a moment ago: where many come and go, no accident is to be told from work. */
  const arrivedAt = new Map<Uid, number>();
  const noteArrivals = (uids: readonly Uid[]): void => {
    const now = performance.now();
    for (const [one, at] of arrivedAt) if (now - at > youngMs) arrivedAt.delete(one);
    for (const one of uids) arrivedAt.set(one, now);
  };
  let unnamed = { count: 0, at: 0 };
  const unnamedNow = (): number => (performance.now() - unnamed.at > youngMs ? 0 : unnamed.count);
  const isMost = (count: number, table: MessageTable, from: number): boolean => {
    const total = table.uids.filter((one) => !arrivedAt.has(one)).length - held.length;
    return total >= from && count > total / 2;
  };
  const unaskedOf = (table: MessageTable, vanished: readonly Uid[]): readonly Uid[] =>
    vanished.filter((one) => !expected.has(one) && !isMarkedDeleted(table, one) && !arrivedAt.has(one));
  const countUnasked = (table: MessageTable, vanished: readonly Uid[]): number => {
    if (vanished.length === 0) return 0;
    const unasked = unaskedOf(table, vanished).length;
    return unasked - Math.min(unnamedNow(), unasked);
  };
  return {
    get held() {
      return held;
    },
    isHeld: (one) => heldSet.has(one),
    withoutHeld: (uids) => (held.length === 0 ? uids : uids.filter((one) => !heldSet.has(one))),
    expect(uids) {
      for (const one of uids) expected.add(one);
    },
    noteArrived: noteArrivals,
    expectAny(count) {
      unnamed = { count: unnamedNow() + count, at: performance.now() };
    },
    unasked: countUnasked,
    suddenlyGone(table, vanished) {
      if (vanished.length <= few) return 0;
      const count = countUnasked(table, vanished);
      return count > few && isMost(count, table, 0) ? count : 0;
    },
    judge(table, { uids, arrived, vanished }, accident = "none") {
      const back = new Set(held.length === 0 ? [] : arrived.filter((one) => heldSet.has(one)));
      const news = back.size === 0 ? arrived : arrived.filter((one) => !back.has(one));
      noteArrivals(table.uids.length === 0 ? [] : news);
      const unasked = unaskedOf(table, vanished);
      const excused = Math.min(unnamedNow(), unasked.length);
      const count = unasked.length - excused;
      // A big mailbox is not counted at each look for the sake of a few.
      const isTooMuch =
        (accident === "sudden" && count > few) ||
        (accident === "slow" && count > 0) ||
        (count > brakeFrom / 2 && isMost(count, table, brakeFrom));
      // What is not here cannot be shown any more.
      const kept = new Set(isTooMuch ? unasked.filter((one) => table.get(one)?.presence === "full") : []);
      const believed = vanished.filter((one) => !kept.has(one));
      for (const one of believed) {
        expected.delete(one);
        arrivedAt.delete(one);
      }
      if (!isTooMuch) unnamed = { ...unnamed, count: unnamedNow() - excused };
      // One that a client has expunged is held no more.
      const still = held.filter((one) => !back.has(one) && table.get(one) !== undefined);
      hold(merged(still, [...kept]));
      return { uids: merged(uids, held), arrived: news, vanished: believed };
    },
    release() {
      for (const one of held) expected.add(one);
      hold([]);
    },
    reset() {
      expected.clear();
      // The same UIDs are other messages now, and nobody has seen them come.
      arrivedAt.clear();
      hold([]);
    },
  };
}

function merged(a: readonly Uid[], b: readonly Uid[]): readonly Uid[] {
  if (b.length === 0) return a;
  return [...new Set([...a, ...b])].sort((x, y) => x - y);
}

function readHeld(kept: string | undefined): readonly Uid[] {
  if (kept === undefined || kept === "") return [];
  return numbersOf(JSON.parse(kept) as UidSet).map(uid);
}
