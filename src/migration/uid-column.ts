/**
 * Values by UID, for as many messages as a mailbox has: they come in ascending order nearly always, are asked for in
 * that order, and leave again. Two arrays take a quarter of the time and of the memory of a Map of that size; what
 * comes out of order is in a Map all the same.
 */
import type { Uid } from "../mail/ids.ts";
import { lowerBound } from "../mail/number-set.ts";

export interface UidColumn<T> {
  readonly size: number;
  get(uid: Uid): T | undefined;
  set(uid: Uid, value: T): void;
  delete(uid: Uid): void;
  replaceAll(change: (value: T) => T): void;
  clear(): void;
}

/** Places of values that have left are kept until they are more than half of all, and this many. */
const keptPlaces = 1_000;

export function createUidColumn<T extends object>(): UidColumn<T> {
  /** Ascending. */
  let uids: Uid[] = [];
  let values: (T | undefined)[] = [];
  /** How many of `values` are there. */
  let count = 0;
  /** Those that came when a higher UID was there already. */
  const others = new Map<Uid, T>();
  /** Where the last one was found. */
  let near = 0;

  const lastUid = (): number => uids[uids.length - 1] ?? 0;
  const placeOf = (uid: Uid): number => {
    if (uids[near] === uid) return near;
    if (uids[near + 1] === uid) return ++near;
    if (uid > lastUid()) return -1;
    const at = lowerBound(uids, uid);
    if (uids[at] !== uid) return -1;
    near = at;
    return at;
  };
  const compact = (): void => {
    if (uids.length < keptPlaces || count * 2 > uids.length) return;
    uids = uids.filter((_, at) => values[at] !== undefined);
    values = values.filter((value) => value !== undefined);
    near = 0;
  };

  return {
    get size() {
      return count + others.size;
    },
    get(uid) {
      const at = placeOf(uid);
      const value = at < 0 ? undefined : values[at];
      return value || others.size === 0 ? value : others.get(uid);
    },
    set(uid, value) {
      if (uid > lastUid()) {
        uids.push(uid);
        values.push(value);
        count++;
        return;
      }
      const at = placeOf(uid);
      if (at < 0) {
        others.set(uid, value);
        return;
      }
      if (values[at] === undefined) count++;
      values[at] = value;
    },
    delete(uid) {
      const at = placeOf(uid);
      if (at < 0 || values[at] === undefined) {
        others.delete(uid);
        return;
      }
      values[at] = undefined;
      count--;
      compact();
    },
    replaceAll(change) {
      values = values.map((value) => value && change(value));
      for (const [uid, value] of others) others.set(uid, change(value));
    },
    clear() {
      [uids, values, count, near] = [[], [], 0, 0];
      others.clear();
    },
  };
}
