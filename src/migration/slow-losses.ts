/**
 * Losses of an account that come bit by bit, each too small to be asked about: messages of one mailbox after the other,
 * or some at each look. Within an hour they are summed up, over restarts, too; what would make more than half of an
 * account of 50 messages or more of them is for somebody to decide. What only moves within the account is no loss.
 */
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { brakeFrom } from "./deletion-brake.ts";
import { isSelectable } from "./listing.ts";

interface Losing {
  readonly atMs: number;
  /** Messages of the account before these were lost. */
  readonly total: number;
  readonly lost: number;
}

const key = "slow-losses";
const windowMs = 60 * 60_000;
/** Summed up in one. */
const togetherMs = 60_000;

/** A clock that has been set back begins anew. */
function recent(store: AccountStore): readonly Losing[] {
  const kept = JSON.parse(store.readSetting(key) || "[]") as readonly Losing[];
  const now = Date.now();
  return kept.filter(({ atMs }) => atMs <= now && now - atMs < windowMs);
}

function totalOf(store: AccountStore): number {
  return store
    .mailboxes()
    .filter(isSelectable)
    .reduce((sum, { id }) => sum + store.countMessages(id), 0);
}

/** With `count` more, which are still among the messages here. */
export function isLossOfMost(store: AccountStore, count: number): boolean {
  if (count === 0) return false;
  const before = recent(store);
  const [first] = before;
  if (!first || first.total < brakeFrom) return false;
  const lost = before.reduce((sum, one) => sum + one.lost, count);
  return lost > first.total / 2 && totalOf(store) - count < first.total / 2;
}

/** Before they are taken away: nobody has asked for it here, and it is believed. */
export function noteLoss(store: AccountStore, count: number): void {
  if (count === 0) return;
  const before = recent(store);
  const last = before.at(-1);
  const atMs = Date.now();
  const next =
    last && atMs - last.atMs < togetherMs
      ? [...before.slice(0, -1), { ...last, lost: last.lost + count }]
      : [...before, { atMs, total: totalOf(store), lost: count }];
  try {
    store.writeSetting(key, JSON.stringify(next));
  } catch (error) {
    // On a full disk what is here is served all the same.
    if (!(error instanceof StoreTrouble)) throw error;
  }
}

/** Somebody has decided: what was lost so far is gone. */
export function forgetLosses(store: AccountStore): void {
  if (recent(store).length > 0) store.writeSetting(key, "");
}
