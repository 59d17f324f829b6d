/** Puts what a search has found in order: here, or by the legacy server while headers are not here. */
import type { Uid } from "../mail/ids.ts";
import { sortInSteps } from "../mail/sort-in-steps.ts";
import { needsHeader, type SortKey } from "../mail/sort-key.ts";
import { type Sortable, sortable, sorter } from "../mail/sort-messages.ts";
import { forEachMessage } from "./search-messages.ts";
import type { SearchContext } from "./search-run.ts";

export async function sortMessages(
  context: SearchContext,
  keys: readonly SortKey[],
  found: readonly Uid[],
): Promise<readonly Uid[]> {
  const { mailbox } = context.state;
  if (found.length < 2) return found;
  const asksHeaders = keys.some(needsHeader);
  if (asksHeaders && !mailbox.complete) {
    const ordered = await mailbox.sortRemotely(keys, found, context.signal);
    if (ordered) return ordered;
  }
  const messages: Sortable[] = [];
  await forEachMessage(context, found, asksHeaders ? "header" : "meta", (uid) => {
    const meta = mailbox.meta(uid);
    if (meta) messages.push(sortable(keys, meta, asksHeaders ? mailbox.header(uid) : undefined));
  });
  const ordered = await sortInSteps(messages, sorter(keys), context.breathe);
  return ordered.map(({ uid }) => uid);
}
