/**
 * What a FETCH of many messages brings, written together, since a transaction for each would cost more than
 * all else; but no more of it is held than some megabytes, however long a header somebody has made.
 */
import type { Uid } from "../mail/ids.ts";

const maxHeldBytes = 8 << 20;

export interface Gathering<T> {
  add(uid: Uid, value: T, sizeBytes: number): void;
  /** Writes what is held. */
  save(): void;
}

export function createGathering<T>(write: (held: ReadonlyMap<Uid, T>) => void): Gathering<T> {
  let held = new Map<Uid, T>();
  let heldBytes = 0;
  const save = (): void => {
    if (held.size > 0) write(held);
    held = new Map();
    heldBytes = 0;
  };
  return {
    add(uid, value, sizeBytes) {
      held.set(uid, value);
      heldBytes += sizeBytes;
      if (heldBytes >= maxHeldBytes) save();
    },
    save,
  };
}
