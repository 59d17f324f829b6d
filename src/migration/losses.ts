/**
 * Messages of a mailbox that the legacy server does not give: put aside with the reason, and, where an operator has
 * said so, accepted as lost. Kept in the sidecar, under the UIDVALIDITY that they were seen under.
 *
 * What always holds
 * - A message that has come is neither: who asks looks whether it is `full`.
 * - What is accepted is named one by one: what fails later is not covered.
 */
import type { Uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { MessageTable } from "./message-table.ts";

export interface PutAside {
  readonly reason: string;
  /** How often it was put aside or asked for in vain. */
  readonly tries: number;
}

export interface AcceptedLoss {
  readonly reason: string;
  /** Who has said so, and when (ISO 8601). */
  readonly by: string;
  readonly at: string;
}

export interface Losses {
  readonly putAside: ReadonlyMap<Uid, PutAside>;
  readonly accepted: ReadonlyMap<Uid, AcceptedLoss>;
  /** Accepted, and still not here. Ascending. */
  missingFrom(table: MessageTable): readonly Uid[];
  putAsideNow(uid: Uid, reason: string, tries: number): void;
  /** All at once: what is kept is written as one. */
  putAllAside(all: ReadonlyMap<Uid, PutAside>): void;
  accept(uid: Uid, word: Omit<AcceptedLoss, "reason">): void;
  /** It is asked for again, and nothing of it is accepted. */
  takeBack(uid: Uid): void;
}

interface Kept {
  readonly uidValidity: number | undefined;
  readonly putAside: readonly (readonly [Uid, PutAside])[];
  readonly accepted: readonly (readonly [Uid, AcceptedLoss])[];
}

interface Opened {
  readonly uidValidity: number | undefined;
  readonly losses: Losses;
}

const opened = new WeakMap<AccountStore, Map<number, Opened>>();

/** The same ones for all who ask, as long as the account is open. */
export function lossesOf(store: AccountStore, record: MailboxRecord): Losses {
  const ofStore = opened.get(store) ?? new Map<number, Opened>();
  opened.set(store, ofStore);
  const known = ofStore.get(record.id);
  if (known && known.uidValidity === record.uidValidity) return known.losses;
  const losses = openLosses(store, record);
  ofStore.set(record.id, { uidValidity: record.uidValidity, losses });
  return losses;
}

/** Put aside, still not here, and not accepted. By UID. */
export function putAsideIn({
  store,
  record,
  table,
  listed: isListed,
}: Pick<MailboxState, "store" | "record" | "table" | "listed">): readonly (readonly [Uid, PutAside])[] {
  const { putAside, accepted } = lossesOf(store, record);
  // Of what was not asked for yet since the start nothing may be known but this.
  const isThere = (uid: Uid): boolean => table.get(uid) !== undefined || !isListed;
  return [...putAside]
    .filter(([uid]) => isThere(uid) && table.get(uid)?.presence !== "full" && !accepted.has(uid))
    .sort(([a], [b]) => a - b);
}

/** Every message, but those that an operator does without. */
export function isAllHere({
  store,
  record,
  table,
}: Pick<MailboxState, "store" | "record" | "table">): boolean {
  if (table.fullCount === table.uids.length) return true;
  return table.fullCount + lossesOf(store, record).missingFrom(table).length === table.uids.length;
}

function isMissing(table: MessageTable, uid: Uid): boolean {
  const message = table.get(uid);
  return message !== undefined && message.presence !== "full";
}

function openLosses(store: AccountStore, { id, uidValidity }: MailboxRecord): Losses {
  const key = `losses:${id}`;
  const kept = JSON.parse(store.readSetting(key) || "{}") as Partial<Kept>;
  const isOurs = kept.uidValidity === uidValidity;
  const putAside = new Map(isOurs ? kept.putAside : []);
  const accepted = new Map(isOurs ? kept.accepted : []);
  const write = (): void => {
    const all: Kept = { uidValidity, putAside: [...putAside], accepted: [...accepted] };
    store.writeSetting(key, JSON.stringify(all));
  };
  const putAllAside = (all: ReadonlyMap<Uid, PutAside>): void => {
    if (all.size === 0) return;
    for (const [uid, { reason, tries }] of all)
      putAside.set(uid, { reason, tries: (putAside.get(uid)?.tries ?? 0) + tries });
    write();
  };
  return {
    putAside,
    accepted,
    missingFrom(table) {
      if (accepted.size === 0) return [];
      return [...accepted.keys()].filter((uid) => isMissing(table, uid)).sort((a, b) => a - b);
    },
    putAllAside,
    putAsideNow: (uid, reason, tries) => putAllAside(new Map([[uid, { reason, tries }]])),
    accept(uid, word) {
      accepted.set(uid, { ...word, reason: putAside.get(uid)?.reason ?? "" });
      write();
    },
    takeBack(uid) {
      if (accepted.delete(uid)) write();
    },
  };
}
