/** What becomes of a message that is known here when flags of it are told. Pure. */
import type { FlagsOf } from "../legacy/source.ts";
import { sameFlags } from "../mail/flags.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { StoredMessage } from "../store/store.ts";

type KnownMessage = StoredMessage & MessageMeta;

export interface ToldUnder {
  /** MODSEQs are counted here. */
  readonly isCounted: boolean;
  /** The legacy server has lost its MODSEQs, and those that are known here tell nothing any more. */
  readonly anew: boolean;
}

/** undefined where it stays as it is: nothing is known of it yet, the flags are older, or the same. */
export function changedBy(
  known: StoredMessage | undefined,
  { flags, modSeq }: FlagsOf,
  { isCounted, anew }: ToldUnder,
): KnownMessage | undefined {
  if (!known || known.presence === "remote") return undefined;
  const isSame = sameFlags(known.flags, flags);
  if (isCounted) return isSame ? undefined : { ...known, flags };
  if (modSeq < known.modSeq && !anew) return undefined;
  return isSame && known.modSeq === modSeq ? undefined : { ...known, flags, modSeq };
}

/** That a message has a MODSEQ, where none was known of it, is nothing to tell clients. */
export function isNews(known: StoredMessage | undefined, now: KnownMessage): boolean {
  if (known === undefined || known.presence === "remote") return true;
  return known.modSeq > 0n || !sameFlags(known.flags, now.flags);
}
