/** An account's store that tells when one of its databases is found damaged in use. */
import type { AccountStore } from "./store.ts";
import { isCorrupt, StoreTrouble } from "./store-errors.ts";

/** `onDamage` is called once. */
export function watchDamage(store: AccountStore, onDamage: (error: unknown) => void): AccountStore {
  let isMet = false;
  const look = (error: unknown): void => {
    if (isMet || !(error instanceof StoreTrouble) || !isCorrupt(error.cause)) return;
    isMet = true;
    onDamage(error);
  };
  return {
    ...watched(store, look),
    expunges: watched(store.expunges, look),
    maildrop: watched(store.maildrop, look),
  };
}

/** Methods of the same names, whose failures `look` is told of. */
function watched<T extends object>(parts: T, look: (error: unknown) => void): T {
  const entries = Object.entries(parts).map(([name, part]) => [
    name,
    typeof part === "function" ? watchedMethod(part, look) : part,
  ]);
  return Object.fromEntries(entries) as T;
}

function watchedMethod(method: (...given: unknown[]) => unknown, look: (error: unknown) => void) {
  return (...given: unknown[]): unknown => {
    try {
      const result = method(...given);
      if (result instanceof Promise) result.catch(look);
      return result;
    } catch (error) {
      look(error);
      throw error;
    }
  };
}
