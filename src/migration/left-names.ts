/**
 * Names that a mailbox has left, for another name or for good, each with the UIDVALIDITY that it had there. Some servers
 * give the same one to the next mailbox of that name (stock Cyrus takes the second of the day), and clients may still
 * have UIDs of the one that was: the next goes on under it only where its messages are those that were there.
 */
import type { MailboxLease } from "../legacy/source.ts";
import type { EncodedMailboxName, Uid, UidValidity } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { MessageTable } from "./message-table.ts";
import { sampleWithHighest } from "./sample.ts";
import { shownValidities } from "./shown-validities.ts";

type Print = readonly [uid: Uid, sizeBytes: number, epochSeconds: number];

interface Left {
  readonly name: EncodedMailboxName;
  /** By the old server. */
  readonly told: UidValidity;
  /** Of messages that were there; empty where no mailbox may follow under it. */
  readonly prints: readonly Print[];
}

const key = "left-names";
/** The last ones: UIDVALIDITYs of long ago do not come again. */
const mostKept = 200;

function leftOf(store: AccountStore): readonly Left[] {
  return JSON.parse(store.readSetting(key) || "[]");
}

/** Before the mailbox is forgotten, or has its other name. */
export function noteLeft(store: AccountStore, record: MailboxRecord, table: MessageTable): void {
  const { id, name, uidValidity, uidNext } = record;
  // No UID of it was ever told.
  if (uidValidity === undefined || uidNext <= 1) return;
  const told = shownValidities(store).toldOf(id, uidValidity);
  // What clients have under the other one may be of any mailbox.
  const prints = told === uidValidity ? printsOf(table) : [];
  const others = leftOf(store).filter((one) => one.name !== name || one.told !== told);
  store.writeSetting(key, JSON.stringify([...others, { name, told, prints }].slice(-mostKept)));
}

function printsOf(table: MessageTable): readonly Print[] {
  const known = table.uids.filter((uid) => knownIn(table, uid) !== undefined);
  return sampleWithHighest(known).flatMap((uid) => {
    const message = knownIn(table, uid);
    return message ? [[uid, message.sizeBytes, message.internalDate.epochSeconds] as const] : [];
  });
}

type Compared = Pick<MessageMeta, "sizeBytes" | "internalDate">;

function knownIn(table: MessageTable, uid: Uid): Compared | undefined {
  const message = table.get(uid);
  return message?.presence === "remote" ? undefined : message;
}

/** A mailbox that is known here may take the name: nobody has UIDs of another one under it. */
export function mayTake(
  store: AccountStore,
  name: EncodedMailboxName,
  { uidValidity }: MailboxRecord,
  table: MessageTable,
): boolean {
  const left = leftOf(store).find((one) => one.name === name && one.told === uidValidity);
  return left === undefined || isSame(left, (uid) => knownIn(table, uid));
}

/** At the first look at a mailbox for which the server tells this UIDVALIDITY: whether clients may have others under it. */
export async function isGivenAgain(
  store: AccountStore,
  { name }: Pick<MailboxRecord, "name">,
  lease: MailboxLease,
  { told, exists }: { readonly told: UidValidity; readonly exists: number },
): Promise<boolean> {
  const left = leftOf(store).find((one) => one.name === name && one.told === told);
  if (left === undefined) return false;
  const metas = new Map<Uid, MessageMeta>();
  const uids = left.prints.map(([uid]) => uid);
  if (uids.length > 0 && exists > 0)
    await lease.fetchMeta(uidSetOf(uids), (meta) => void metas.set(meta.uid, meta));
  return !isSame(left, (uid) => metas.get(uid));
}

/** Some are there again, and none of them is another: one whose size only was mended is no other. */
function isSame({ prints }: Left, now: (uid: Uid) => Compared | undefined): boolean {
  const there = prints.flatMap(([uid, sizeBytes, epochSeconds]) => {
    const message = now(uid);
    return message ? [{ message, sizeBytes, epochSeconds }] : [];
  });
  const isOther = ({ message, sizeBytes, epochSeconds }: (typeof there)[number]): boolean =>
    message.sizeBytes !== sizeBytes && message.internalDate.epochSeconds !== epochSeconds;
  return there.length > 0 && !there.some(isOther);
}
