/**
 * What the legacy server had at the cutover, durable: by mailbox, how far it is known here. Sweep and rollback
 * tell by it what has come since, on either side.
 */
import {
  type EncodedMailboxName,
  encodedMailboxName,
  type MailboxId,
  mailboxId,
  type Uid,
  type UidValidity,
  uid,
  uidValidity,
} from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";

export interface CutoverMark {
  /** There; it may have another name here by now. */
  readonly name: EncodedMailboxName;
  readonly uidValidity: UidValidity;
  /** UIDNEXT at the cutover: what is below was on both sides. */
  readonly known: Uid;
  /** What came there since, and is below, was brought over. */
  readonly next: Uid;
}

const cutOverKey = "cut-over-at";
const markedKey = "marked";
const rollbackKey = "rolling-back";
const markKey = (id: MailboxId): string => `swept:${id}`;

/** At the cutover, when all that the legacy server has is here. */
export function markCutover(store: AccountStore, mailboxes: readonly MailboxRecord[]): void {
  store.writeSetting(cutOverKey, String(Date.now()));
  store.writeSetting(rollbackKey, "");
  const marked: MailboxId[] = [];
  for (const { id, name, uidValidity, uidNext } of mailboxes) {
    if (uidValidity === undefined) continue;
    marked.push(id);
    writeMark(store, id, {
      name,
      uidValidity,
      known: uidNext,
      next: uidNext,
    });
  }
  store.writeSetting(markedKey, JSON.stringify(marked));
}

/** In milliseconds since 1970; undefined where the account came from nowhere. */
export function cutOverAt(store: AccountStore): number | undefined {
  return Number(store.readSetting(cutOverKey)) || undefined;
}

/** Mailboxes of the cutover: some may have been deleted here since. */
export function markedMailboxes(store: AccountStore): readonly MailboxId[] {
  return (JSON.parse(store.readSetting(markedKey) ?? "[]") as number[]).map(mailboxId);
}

export function writeMark(store: AccountStore, id: MailboxId, mark: CutoverMark): void {
  store.writeSetting(markKey(id), JSON.stringify(mark));
}

export function readMark(store: AccountStore, id: MailboxId): CutoverMark | undefined {
  const kept = store.readSetting(markKey(id));
  if (kept === undefined) return undefined;
  const { name, uidValidity: validity, known, next } = JSON.parse(kept) as CutoverMark;
  return {
    name: encodedMailboxName(name),
    uidValidity: uidValidity(validity) as UidValidity,
    known: uid(known),
    next: uid(next),
  };
}

const broughtKey = (id: MailboxId, from: Uid): string => `brought:${id}:${from}`;

/** Before the message of the legacy server is added here. */
export function noteBroughtOver(store: AccountStore, id: MailboxId, from: Uid, here: Uid): void {
  store.writeSetting(broughtKey(id, from), String(here));
}

/** As which UID a message of the legacy server was to be added here; whether it was, the mailbox tells. */
export function broughtOverAs(store: AccountStore, id: MailboxId, from: Uid): Uid | undefined {
  const here = Number(store.readSetting(broughtKey(id, from))) || undefined;
  return here === undefined ? undefined : uid(here);
}

/** From then on nothing more is brought over: what is there may be what is given back. */
export function noteRollback(store: AccountStore): void {
  store.writeSetting(rollbackKey, "yes");
}

/** One was begun, and has not ended. */
export function isRollingBack(store: AccountStore): boolean {
  return store.readSetting(rollbackKey) === "yes";
}
