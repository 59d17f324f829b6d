/**
 * Messages that the old server gave and, after it gave others under their UIDs, has no more: their files are set aside
 * until somebody decides. One whose bytes had not come is lost, as it is at the old server.
 */
import type { Logger } from "../log.ts";
import { flagsOf } from "../mail/flags.ts";
import type { EncodedMailboxName, MailboxId, Uid, UidValidity } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import type { Authority } from "./authority.ts";
import type { MessageTable } from "./message-table.ts";
import { shownValidities } from "./shown-validities.ts";

interface Lost extends Pick<MessageMeta, "flags" | "internalDate"> {
  /** Whose they are, under whatever name. */
  readonly id: MailboxId;
  readonly mailbox: EncodedMailboxName;
  readonly fileName: string;
}

const key = "lost-messages";

function lostOf(store: AccountStore): readonly Lost[] {
  return JSON.parse(store.readSetting(key) || "[]");
}

/** Of which mailboxes. */
export function lostIn(store: AccountStore): ReadonlySet<MailboxId> {
  return new Set(lostOf(store).map(({ id }) => id));
}

function keepLost(store: AccountStore, lost: readonly Lost[]): void {
  store.writeSetting(key, lost.length === 0 ? "" : JSON.stringify(lost));
}

export interface Losing {
  readonly store: AccountStore;
  readonly logger: Logger;
  readonly record: MailboxRecord;
  readonly table: MessageTable;
  readonly problemKey: string;
}

/** They are noted before their files move, so that a crash loses none; what to tell the operator. */
export function setLostAside(
  { store, logger, record, table, problemKey }: Losing,
  uids: readonly Uid[],
): string {
  const kept = new Map(lostOf(store).map((one) => [one.fileName, one]));
  for (const uid of uids) {
    const message = table.get(uid);
    const fileName = message?.presence === "full" ? store.fileOf(record, uid) : undefined;
    if (message?.presence !== "full" || fileName === undefined) continue;
    const { flags, internalDate } = message;
    kept.set(fileName, { id: record.id, mailbox: record.name, fileName, flags, internalDate });
  }
  keepLost(store, [...kept.values()]);
  store.setAside(record, uids, "lost");
  logger.error({ mailbox: record.name, messages: uids.length }, "other messages under the same UIDVALIDITY");
  const problem = `the old server gives other messages under the same UIDVALIDITY ${record.uidValidity}, as after a restore: the mailbox is shown anew, and ${uids.length} messages that are not there any more are set aside until you decide (problems --help)`;
  store.writeSetting(problemKey, problem);
  return problem;
}

/** The UIDVALIDITY that is shown from now on, above the one that was. */
export function showOther(store: AccountStore, { id, uidValidity }: MailboxRecord): UidValidity {
  const shown = store.nextUidValidity();
  if (uidValidity !== undefined) shownValidities(store).replace(id, uidValidity, shown);
  return shown;
}

/** Whether it has one of ours. */
export function isShownAnew({
  store,
  record: { id, uidValidity },
}: Pick<Losing, "store" | "record">): boolean {
  return uidValidity !== undefined && shownValidities(store).has(id, uidValidity);
}

/** The operator lets those of these mailboxes go. */
export function forgetLost(store: AccountStore, mailboxes: ReadonlySet<MailboxId>): void {
  const lost = lostOf(store);
  for (const { id, fileName } of lost) if (mailboxes.has(id)) store.removeAside(fileName);
  keepLost(
    store,
    lost.filter(({ id }) => !mailboxes.has(id)),
  );
}

export interface Rescuing {
  readonly store: AccountStore;
  readonly authority: Authority;
  readonly target: EncodedMailboxName;
  readonly signal: AbortSignal;
}

/** The operator keeps those of these mailboxes, in `target`. */
export async function rescueLost(
  { store, authority, target, signal }: Rescuing,
  mailboxes: ReadonlySet<MailboxId>,
): Promise<void> {
  for (const { id, fileName, flags, internalDate } of lostOf(store)) {
    if (!mailboxes.has(id)) continue;
    signal.throwIfAborted();
    const bytes = await store.readAside(fileName);
    if (bytes !== undefined) {
      const incoming = store.receive(bytes.length);
      try {
        await incoming.write(bytes);
        await authority.append(target, { incoming, flags: flagsOf(flags), internalDate });
      } finally {
        incoming.discard();
      }
    }
    keepLost(
      store,
      lostOf(store).filter((one) => one.fileName !== fileName),
    );
    store.removeAside(fileName);
  }
}
