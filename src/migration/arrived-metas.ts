/** Metadata that come to messages of which only the UID was known, or their flags at most, as they are to be kept. */
import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { StoredMessage } from "../store/store.ts";
import type { EarlyFlags } from "./early-flags.ts";
import { type MessageTable, remoteIn } from "./message-table.ts";
import { next } from "./mod-seqs.ts";

export interface ArrivedMetas {
  readonly messages: readonly (StoredMessage & MessageMeta)[];
  /** Those of which clients may have been told other flags. */
  readonly changed: ReadonlySet<Uid>;
  /** Of the mailbox, now that they are known. */
  readonly highestModSeq: ModSeq;
}

export interface ArrivalOptions {
  readonly table: MessageTable;
  /** What is known of them leaves it. */
  readonly early: EarlyFlags;
  readonly fileOf: (uid: Uid) => string | undefined;
  /** MODSEQs are counted here. */
  readonly isCounted: boolean;
  readonly highestModSeq: ModSeq;
}

/** Of `metas` those of messages that are `remote`; the others are known better. */
export function arrivedMetas(
  metas: readonly MessageMeta[],
  { table, early, fileOf, isCounted, highestModSeq: before }: ArrivalOptions,
): ArrivedMetas {
  const changed = new Set<Uid>();
  const isRemote = remoteIn(table);
  const arriving = metas.filter((meta) => isRemote(meta.uid));
  const messages = arriving.map((meta): StoredMessage & MessageMeta => {
    const { flags, modSeq: told, isOther } = early.take(meta);
    if (isOther) changed.add(meta.uid);
    // Rather too high than too low: who asks what has changed must hear of it.
    const modSeq = !isCounted && told > 0n ? told : isCounted && isOther ? next(before) : before;
    const known = { ...meta, flags, modSeq };
    const fileName = fileOf(meta.uid);
    return fileName === undefined ? { presence: "meta", ...known } : { presence: "full", fileName, ...known };
  });
  return { messages, changed, highestModSeq: isCounted && changed.size > 0 ? next(before) : before };
}
