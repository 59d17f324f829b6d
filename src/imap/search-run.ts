/**
 * Runs a SEARCH over one session's view: sets and flags first, in memory; text last and only on what is
 * left, here when every message is here, otherwise by the legacy server. A search that asks for nothing
 * of a message but its number needs no metadata.
 */

import { Unreadable, unlessUnreadable, unreadableIn } from "../errors.ts";
import { modSeq, sequenceNumber, type Uid } from "../mail/ids.ts";
import { formatNumberSet, uidSetOf } from "../mail/number-set.ts";
import { evaluateSearch, type SearchableMessage, searchNeeds } from "../mail/search-evaluate.ts";
import type { SearchKey } from "../mail/search-key.ts";
import { modSeqOf } from "./condstore.ts";
import { searchCriteria } from "./search-criteria.ts";
import { forEachMessage } from "./search-messages.ts";
import { intersection, isOwn, mapKeys, someKey, uidsIn, withNumbers, withUids } from "./search-sets.ts";
import type { Selected } from "./state.ts";

export interface SearchContext {
  readonly state: Selected;
  readonly signal: AbortSignal;
  /** Lets others go first now and then. */
  readonly breathe: () => Promise<void>;
}

/** Matching UIDs, ascending. Throws UNAVAILABLE. */
export async function runSearch(context: SearchContext, key: SearchKey): Promise<readonly Uid[]> {
  const program = withNumbers(key, context.state);
  const parts = program.kind === "and" ? program.keys : [program];
  const rest = parts.filter(({ kind }) => kind !== "all" && kind !== "uid" && kind !== "sequence");
  const isQuick = (part: SearchKey): boolean => ["none", "meta"].includes(searchNeeds(part));
  const quick = rest.filter(isQuick);
  const textual = rest.filter((part) => !isQuick(part));

  const candidates = await matchHere(
    context,
    await changedAmong(context, candidatesOf(context, parts), rest),
    quick,
  );
  if (textual.length === 0 || candidates.length === 0) return candidates;
  return context.state.mailbox.complete
    ? matchHere(context, candidates, textual)
    : matchRemotely(context, candidates, textual);
}

function candidatesOf({ state: { view } }: SearchContext, parts: readonly SearchKey[]): readonly Uid[] {
  let candidates = view.uids;
  for (const part of parts) {
    if (part.kind !== "uid" && part.kind !== "sequence") continue;
    const named = uidsIn(part.kind, part.set, view);
    candidates = candidates === view.uids ? named : intersection(candidates, named);
  }
  return view.hasExpunged ? candidates.filter((uid) => !view.isExpunged(uid)) : candidates;
}

/** A MODSEQ that all must have: the legacy server picks them out where their metadata are not here. */
async function changedAmong(
  { state, signal }: SearchContext,
  candidates: readonly Uid[],
  keys: readonly SearchKey[],
): Promise<readonly Uid[]> {
  let left = candidates;
  for (const key of keys) {
    if (key.kind !== "modseq" || key.atLeast <= 1n) continue;
    await state.mailbox.requireChanged(modSeq(key.atLeast - 1n), signal);
    left = left.filter((uid) => modSeqOf(state, uid) >= key.atLeast);
  }
  return left;
}

async function matchHere(
  context: SearchContext,
  candidates: readonly Uid[],
  keys: readonly SearchKey[],
): Promise<readonly Uid[]> {
  if (keys.length === 0) return candidates;
  const { view } = context.state;
  const key: SearchKey = { kind: "and", keys };
  const found: Uid[] = [];
  await forEachMessage(context, candidates, searchNeeds(key), async (uid) => {
    const verdict = evaluateSearch(key, searchable(context, uid, view.sequenceOf(uid) ?? 0));
    if (verdict === true || (await verdict)) found.push(uid);
  });
  return found;
}

/** So much of the legacy server's search is narrowed down by naming the UIDs that are left. */
const maxCandidateChars = 4_000;
/** A longer command line is refused by Dovecot: then messages are fetched and read here. */
const maxPieceBytes = 60_000;

async function matchRemotely(
  context: SearchContext,
  candidates: readonly Uid[],
  asked: readonly SearchKey[],
): Promise<readonly Uid[]> {
  const { mailbox, view } = context.state;
  const keys = await Promise.all(asked.map((key) => withoutOwn(context, candidates, key)));
  const set = uidSetOf(candidates);
  const narrow = candidates.length < view.uids.length && formatNumberSet(set).length <= maxCandidateChars;
  const named: readonly SearchKey[] = narrow ? [{ kind: "uid", set }] : [];
  const key = withUids({ kind: "and", keys: [...named, ...keys] }, view);
  const { pieces, charset } = searchCriteria(key, mailbox.recent);
  if (pieces.some((piece) => piece.length > maxPieceBytes)) return matchHere(context, candidates, asked);
  const found = await mailbox.searchRemotely(pieces, charset, context.signal);
  if (!found) return matchHere(context, candidates, asked);
  return intersection(
    candidates,
    [...found].sort((a, b) => a - b),
  );
}

/** What other servers may not know is answered here, and named by UIDs. */
async function withoutOwn(
  context: SearchContext,
  candidates: readonly Uid[],
  key: SearchKey,
): Promise<SearchKey> {
  if (!someKey(key, isOwn)) return key;
  await unreadableIn(context.state.mailbox.require(candidates, "meta", context.signal));
  return mapKeys(key, (leaf) => {
    if (!isOwn(leaf)) return leaf;
    const matching = candidates.filter((uid) => evaluateSearch(leaf, searchable(context, uid, 0)) === true);
    return { kind: "uid", set: uidSetOf(matching) };
  });
}

function searchable(
  { state: { mailbox }, signal }: SearchContext,
  uid: Uid,
  sequence: number,
): SearchableMessage {
  return {
    sequenceNumber: sequenceNumber(sequence),
    uid,
    recent: mailbox.recent.has(uid),
    meta: mailbox.meta(uid),
    flags: mailbox.flagsOf(uid),
    header: () => mailbox.header(uid),
    content: async () => {
      const content = await unlessUnreadable(mailbox.content(uid, signal));
      return content instanceof Unreadable ? undefined : content;
    },
  };
}
