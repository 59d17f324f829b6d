/**
 * What a client that comes back has missed (RFC 7162 3.2.5, 3.2.6): what was expunged, as one VANISHED, and what
 * was changed or has come, as FETCH.
 */
import type { ModSeq, Uid, UidValidity } from "../mail/ids.ts";
import { formatNumberSet, type NumberRange } from "../mail/number-set.ts";
import { includes, intersectRanges, withoutNumbers } from "../mail/range-sets.ts";
import type { Output } from "../wire/output.ts";
import { formatModSeq, modSeqOf } from "./condstore.ts";
import { untagged } from "./formatter.ts";
import { formatFlags } from "./notices.ts";
import type { Selected } from "./state.ts";

/** What a client knows of a mailbox (RFC 7162 3.2.5). */
export interface KnownState {
  readonly uidValidity: UidValidity;
  readonly modSeq: ModSeq;
  /** undefined: all that were there. */
  readonly uids: readonly NumberRange[] | undefined;
  /** Some messages by number and UID, ascending. */
  readonly pairs: readonly (readonly [sequence: number, uid: number])[];
}

export interface Missed {
  readonly vanished: readonly NumberRange[];
  readonly changed: readonly Uid[];
}

/** Throws UNAVAILABLE. Nothing is missed where UIDVALIDITY is another: the client begins anew. */
export async function missedSince(
  selected: Selected,
  known: KnownState,
  signal: AbortSignal,
): Promise<Missed> {
  const { mailbox, view } = selected;
  if (known.uidValidity !== mailbox.uidValidity) return { vanished: [], changed: [] };
  await mailbox.requireChanged(known.modSeq, signal);
  const { uids } = known;
  const changed = view.uids.filter(
    (uid) => modSeqOf(selected, uid) > known.modSeq && (!uids || includes(uids, uid)),
  );
  const within = uids ?? everything;
  return { vanished: await vanishedSince(selected, { ...known, within }, signal), changed };
}

const everything: readonly NumberRange[] = [{ from: 1, to: 0xffff_ffff }];

export interface VanishedQuestion extends Pick<KnownState, "modSeq" | "pairs"> {
  readonly within: readonly NumberRange[];
}

/** Expunged since; where nobody can tell any more, all that are not there. */
export async function vanishedSince(
  { mailbox, view }: Selected,
  { modSeq, pairs, within }: VanishedQuestion,
  signal: AbortSignal,
): Promise<readonly NumberRange[]> {
  const given = intersectRanges(within, [{ from: 1, to: mailbox.uidNext - 1 }]);
  if (given.length === 0) return [];
  const expunged = await mailbox.expungedSince(modSeq, given, signal);
  // What has come meanwhile is not in the view yet.
  const absentIn = (ranges: readonly NumberRange[]): readonly NumberRange[] =>
    withoutNumbers(withoutNumbers(ranges, view.uids), mailbox.uids);
  if (expunged) return absentIn(intersectRanges(given, expunged));
  // What the client has right up to there it has heard of.
  const known = pairs.findLast(([sequence, uid]) => view.uids[sequence - 1] === uid)?.[1] ?? 0;
  return absentIn(intersectRanges(given, [{ from: known + 1, to: mailbox.uidNext - 1 }]));
}

export async function writeMissed(selected: Selected, missed: Missed, output: Output): Promise<void> {
  writeVanished(missed.vanished, output);
  for (const uid of missed.changed) {
    const sequence = selected.view.sequenceOf(uid);
    const [flags, modSeq] = [formatFlags(selected, uid), formatModSeq(selected, uid)];
    if (flags === undefined) continue;
    output.write(untagged(`${sequence} FETCH (UID ${uid} FLAGS ${flags} MODSEQ ${modSeq})`));
    await output.flushed();
  }
}

export function writeVanished(uids: readonly NumberRange[], output: Output): void {
  if (uids.length > 0) output.write(untagged(`VANISHED (EARLIER) ${formatNumberSet(uids)}`));
}
