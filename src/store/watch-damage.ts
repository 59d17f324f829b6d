/** An account's store that tells when it has to be opened anew: a database is damaged, or has no room for a mailbox. */
import type { AccountStore } from "./store.ts";
import { isCorrupt, isRefusal, StoreTrouble } from "./store-errors.ts";

export type Trouble = "damaged" | "full";

type Look = (error: unknown, method: string, given: readonly unknown[]) => void;

/** The account's names, of which a mailbox that has no place is one (migration/listing.ts). */
export const listingKey = "listing";

/** `onTrouble` is called once. */
export function watchDamage(
  store: AccountStore,
  onTrouble: (trouble: Trouble, error: unknown) => void,
): AccountStore {
  let isMet = false;
  const meet = (trouble: Trouble, error: unknown): void => {
    if (!isMet) onTrouble(trouble, error);
    isMet = true;
  };
  const look: Look = (error, method, [first]) => {
    if (error instanceof StoreTrouble && isCorrupt(error.cause)) meet("damaged", error);
    // All else can be served without being stored.
    const isName = method === "addMailbox" || (method === "writeSetting" && first === listingKey);
    if (isName && isRefusal(error)) meet("full", error);
  };
  return {
    ...watched(store, look),
    expunges: watched(store.expunges, look),
    maildrop: watched(store.maildrop, look),
  };
}

/** Methods of the same names, whose failures `look` is told of. */
function watched<T extends object>(parts: T, look: Look): T {
  const entries = Object.entries(parts).map(([name, part]) => [
    name,
    typeof part === "function" ? watchedMethod(part, (error, given) => look(error, name, given)) : part,
  ]);
  return Object.fromEntries(entries) as T;
}

function watchedMethod(
  method: (...given: unknown[]) => unknown,
  look: (error: unknown, given: readonly unknown[]) => void,
) {
  return (...given: unknown[]): unknown => {
    try {
      const result = method(...given);
      if (result instanceof Promise) result.catch((error: unknown) => look(error, given));
      return result;
    } catch (error) {
      look(error, given);
      throw error;
    }
  };
}
