/** Goes through messages of which something has to be here first. */
import { unreadableIn } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { SearchNeeds } from "../mail/search-evaluate.ts";
import type { SearchContext } from "./search-run.ts";

/** Messages whose headers are asked for at once. */
const headerBatch = 500;

/**
 * Calls `visit` for each of `uids`, in order, with what is needed of it made known; one that was expunged meanwhile is
 * among them, and one that the old server cannot give, of which nothing but its flags may be known. Others get their
 * turns. Throws UNAVAILABLE.
 */
export async function forEachMessage(
  { state: { mailbox }, signal, breathe }: SearchContext,
  uids: readonly Uid[],
  needs: SearchNeeds,
  visit: (uid: Uid) => void | Promise<void>,
): Promise<void> {
  if (needs !== "none") await unreadableIn(mailbox.require(uids, "meta", signal));
  const batchSize = needs === "header" ? headerBatch : uids.length;
  for (let first = 0; first < uids.length; first += batchSize) {
    const batch = uids.slice(first, first + batchSize);
    if (needs === "header") await unreadableIn(mailbox.require(batch, "header", signal));
    for (const uid of batch) {
      await visit(uid);
      await breathe();
    }
  }
}
