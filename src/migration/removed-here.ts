/**
 * Which messages of a local account have left it by somebody's wish since the cutover: a rollback removes these at the
 * legacy server, and nothing else that is missing here. The log of expunges does not serve: it forgets.
 */
import type { Uid } from "../mail/ids.ts";
import { type NumberRange, uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { cutOverAt } from "./cutover-marks.ts";

/** UIDs that are written down together: one removal does not write all others anew. */
const uidsPerBlock = 4_096;
const blockOf = (uid: Uid): number => Math.floor(uid / uidsPerBlock);

function blockKey({ id }: MailboxRecord, since: number, block: number): string {
  return `removed:${id}:${since}:${block}`;
}

function rangesIn(store: AccountStore, key: string): readonly NumberRange[] {
  return JSON.parse(store.readSetting(key) ?? "[]") as NumberRange[];
}

/** Before their files go. */
export function noteRemoved(store: AccountStore, record: MailboxRecord, uids: readonly Uid[]): void {
  const since = cutOverAt(store);
  if (since === undefined) return;
  for (const [block, some] of Map.groupBy(uids, blockOf)) {
    const key = blockKey(record, since, block);
    const before = rangesIn(store, key).flatMap(({ from, to }) =>
      Array.from({ length: to - from + 1 }, (_, index) => (from + index) as Uid),
    );
    store.writeSetting(key, JSON.stringify(uidSetOf(new Set([...before, ...some]))));
  }
}

export function removedHere(store: AccountStore, record: MailboxRecord): (uid: Uid) => boolean {
  const since = cutOverAt(store);
  const blocks = new Map<number, readonly NumberRange[]>();
  return (uid) => {
    if (since === undefined) return false;
    const block = blockOf(uid);
    const ranges = blocks.get(block) ?? rangesIn(store, blockKey(record, since, block));
    blocks.set(block, ranges);
    return ranges.some(({ from, to }) => uid >= from && uid <= to);
  };
}
