/**
 * Stops at deletions that look like an accident of the old server: more than half of a mailbox of 50 messages or
 * more, gone at once, that no client has marked and nobody deleted through Mailferry. They are held: still there
 * for clients, until somebody decides.
 */
import { hasFlag } from "../mail/flags.ts";
import { type MailboxId, type Uid, uid } from "../mail/ids.ts";
import { lowerBound, uidSetOf } from "../mail/number-set.ts";
import type { AccountStore } from "../store/store.ts";
import type { MessageTable } from "./message-table.ts";

export interface DeletionBrake {
  /** Ascending. */
  readonly held: readonly Uid[];
  isHeld(uid: Uid): boolean;
  /** Their deletion has been asked for here. */
  expect(uids: readonly Uid[]): void;
  /** What a listing tells to be gone, and the listing, with what is held taken for still there. */
  judge(table: MessageTable, listed: Listed): Listed;
  /** The next listing is believed. */
  release(): void;
  /** The mailbox is another one. */
  reset(): void;
}

export interface Listed {
  readonly uids: readonly Uid[];
  /** Of what was in the table and not held. */
  readonly vanished: readonly Uid[];
}

const brakeFrom = 50;
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
  const noteArrivals = (table: MessageTable, uids: readonly Uid[]): void => {
    const now = performance.now();
    for (const [one, at] of arrivedAt) if (now - at > youngMs) arrivedAt.delete(one);
    if (table.uids.length === 0) return;
    for (const one of uids) if (!isIn(table.uids, one)) arrivedAt.set(one, now);
  };
  return {
    get held() {
      return held;
    },
    isHeld: (one) => heldSet.has(one),
    expect(uids) {
      for (const one of uids) expected.add(one);
    },
    judge(table, { uids, vanished }) {
      const present = new Set(uids);
      const still = held.filter((one) => !present.has(one));
      noteArrivals(table, uids);
      const isUnasked = (one: Uid): boolean =>
        !expected.has(one) && !isMarked(table, one) && !arrivedAt.has(one);
      const unasked = vanished.filter(isUnasked);
      const total = table.uids.filter((one) => !arrivedAt.has(one)).length - held.length;
      const isTooMuch = total >= brakeFrom && unasked.length > total / 2;
      // What is not here cannot be shown any more.
      const kept = new Set(isTooMuch ? unasked.filter((one) => table.get(one)?.presence === "full") : []);
      const believed = vanished.filter((one) => !kept.has(one));
      for (const one of believed) {
        expected.delete(one);
        arrivedAt.delete(one);
      }
      hold(merged(still, [...kept]));
      return { uids: merged(uids, held), vanished: believed };
    },
    release() {
      for (const one of held) expected.add(one);
      hold([]);
    },
    reset() {
      expected.clear();
      hold([]);
    },
  };
}

function isIn(uids: readonly Uid[], one: Uid): boolean {
  return uids[lowerBound(uids, one)] === one;
}

function isMarked(table: MessageTable, one: Uid): boolean {
  const message = table.get(one);
  return message !== undefined && message.presence !== "remote" && hasFlag(message.flags, "\\Deleted");
}

function merged(a: readonly Uid[], b: readonly Uid[]): readonly Uid[] {
  if (b.length === 0) return a;
  return [...new Set([...a, ...b])].sort((x, y) => x - y);
}

function readHeld(kept: string | undefined): readonly Uid[] {
  if (kept === undefined || kept === "") return [];
  const ranges = JSON.parse(kept) as readonly { readonly from: number; readonly to: number }[];
  return ranges.flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, index) => uid(from + index)),
  );
}
