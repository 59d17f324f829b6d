/** Puts what a search has found in order: here, or by the legacy server while headers are not here. */
import type { Uid } from "../mail/ids.ts";
import { needsHeader, type SortKey } from "../mail/sort-key.ts";
import { type Sortable, sortable, sorter } from "../mail/sort-messages.ts";
import { forEachHeader } from "./search-headers.ts";
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
  await forEachHeader(context, found, asksHeaders, (meta, header) => {
    messages.push(sortable(keys, meta, header));
  });
  const ordered = await sortInSteps(messages, sorter(keys), context.breathe);
  return ordered.map(({ uid }) => uid);
}

/** Sorted at once, and looked at before others get a turn. */
const itemsPerTurn = 5_000;

/** A merge sort that lets others go first now and then. */
async function sortInSteps<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  breathe: () => Promise<void>,
): Promise<readonly T[]> {
  let runs: T[][] = [];
  for (let from = 0; from < items.length; from += itemsPerTurn) {
    runs.push(items.slice(from, from + itemsPerTurn).sort(compare));
    await breathe();
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? [], compare, breathe));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
  breathe: () => Promise<void>,
): Promise<T[]> {
  const merged: T[] = [];
  let right = 0;
  for (const item of a) {
    for (; right < b.length && compare(b[right] as T, item) < 0; right++) merged.push(b[right] as T);
    merged.push(item);
    if (merged.length % itemsPerTurn === 0) await breathe();
  }
  return merged.concat(b.slice(right));
}
