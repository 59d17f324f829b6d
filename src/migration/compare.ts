/**
 * What differs between two views of one mailbox: pure, so that the mirror, verify and the tests decide
 * by the same rules.
 */
import type { FlagsOf } from "../legacy/source.ts";
import type { Flags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";

export interface UidDifference {
  readonly arrived: readonly Uid[];
  readonly vanished: readonly Uid[];
}

/** Both lists ascending. `arrived` is in `there` only, `vanished` in `here` only. */
export function compareUids(here: readonly Uid[], there: readonly Uid[]): UidDifference {
  // The first look: a client waits for it.
  if (here.length === 0) return { arrived: there, vanished: [] };
  const arrived: Uid[] = [];
  const vanished: Uid[] = [];
  let h = 0;
  let t = 0;
  while (h < here.length || t < there.length) {
    const ours = here[h];
    const theirs = there[t];
    if (ours !== undefined && (theirs === undefined || ours < theirs)) {
      vanished.push(ours);
      h++;
    } else if (theirs !== undefined && (ours === undefined || theirs < ours)) {
      arrived.push(theirs);
      t++;
    } else {
      h++;
      t++;
    }
  }
  return { arrived, vanished };
}

/** MODSEQ tells which flags are newer; without it, what the delta said is (it was asked later). */
export function newest(
  meta: MessageMeta,
  change: FlagsOf | undefined,
): { flags: Flags; modSeq: MessageMeta["modSeq"] } {
  return change && change.modSeq >= meta.modSeq ? change : meta;
}
