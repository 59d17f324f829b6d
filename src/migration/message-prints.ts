/**
 * What is remembered of messages that are not here any more, so that another one under their UID is known for what it
 * is: of each mailbox the highest, since that is where a server that was restored gives UIDs again.
 */
import type { MailboxId, Uid, UidValidity } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import type { MessageTable } from "./message-table.ts";

export type Print = readonly [uid: Uid, sizeBytes: number, epochSeconds: number];

/** Of what is only listed here there is none. */
export function printsOf(table: MessageTable, uids: readonly Uid[]): readonly Print[] {
  return uids.flatMap((uid) => {
    const message = table.get(uid);
    if (message === undefined || message.presence === "remote") return [];
    return [[uid, message.sizeBytes, message.internalDate.epochSeconds] as const];
  });
}

/** One whose size only was mended, or whose date, is no other. */
export function isAnother(
  [, sizeBytes, epochSeconds]: Print,
  now: Pick<MessageMeta, "sizeBytes" | "internalDate">,
): boolean {
  return now.sizeBytes !== sizeBytes && now.internalDate.epochSeconds !== epochSeconds;
}

interface Kept {
  readonly uidValidity: UidValidity | undefined;
  readonly prints: readonly Print[];
}

const mostKept = 300;
const keyOf = (id: MailboxId): string => `left-prints:${id}`;
const opened = new WeakMap<AccountStore, Map<MailboxId, Kept>>();

function keptOf(store: AccountStore, { id, uidValidity }: MailboxRecord): readonly Print[] {
  const all = opened.get(store) ?? new Map<MailboxId, Kept>();
  opened.set(store, all);
  const kept = all.get(id) ?? (JSON.parse(store.readSetting(keyOf(id)) || "{}") as Partial<Kept>);
  return kept.uidValidity === uidValidity ? (kept.prints ?? []) : [];
}

/** Of messages that have left the mailbox, by UID. */
export function leftPrints(store: AccountStore, record: MailboxRecord): ReadonlyMap<Uid, Print> {
  return new Map(keptOf(store, record).map((print) => [print[0], print]));
}

export function noteLeftPrints(store: AccountStore, record: MailboxRecord, left: readonly Print[]): void {
  if (left.length === 0) return;
  const all = new Map([...keptOf(store, record), ...left].map((print) => [print[0], print]));
  const prints = [...all.values()].sort(([a], [b]) => a - b).slice(-mostKept);
  const kept = { uidValidity: record.uidValidity, prints };
  opened.get(store)?.set(record.id, kept);
  try {
    store.writeSetting(keyOf(record.id), JSON.stringify(kept));
  } catch (error) {
    // What is served does not depend on it.
    if (!(error instanceof StoreTrouble)) throw error;
  }
}
