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
  readonly mailbox: EncodedMailboxName;
  readonly mailboxId: MailboxId;
  readonly fileName: string;
}

const key = "lost-messages";

type One = Pick<MailboxRecord, "id">;

function allLost(store: AccountStore): readonly Lost[] {
  return JSON.parse(store.readSetting(key) || "[]");
}

/** Of the account, or of one mailbox. */
function lostOf(store: AccountStore, mailbox?: One): readonly Lost[] {
  return allLost(store).filter(({ mailboxId }) => mailbox === undefined || mailboxId === mailbox.id);
}

export function hasLost(store: AccountStore, mailbox?: One): boolean {
  return lostOf(store, mailbox).length > 0;
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
  const kept = new Map(allLost(store).map((one) => [one.fileName, one]));
  for (const uid of uids) {
    const message = table.get(uid);
    const fileName = message?.presence === "full" ? store.fileOf(record, uid) : undefined;
    if (message?.presence !== "full" || fileName === undefined) continue;
    const { flags, internalDate } = message;
    kept.set(fileName, { mailbox: record.name, mailboxId: record.id, fileName, flags, internalDate });
  }
  keepLost(store, [...kept.values()]);
  store.setAside(record, uids, "lost");
  logger.error({ mailbox: record.name, messages: uids.length }, "other messages under the same UIDVALIDITY");
  const problem = `the old server gives other messages under the same UIDVALIDITY ${record.uidValidity}, as after a restore: the mailbox is shown anew, and ${uids.length} messages that are not there any more are set aside until you decide (deletions --help)`;
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

/** The operator lets them go. */
export function forgetLost(store: AccountStore, mailbox?: One): void {
  const lost = lostOf(store, mailbox);
  const names = new Set(lost.map(({ fileName }) => fileName));
  for (const name of names) store.removeAside(name);
  keepLost(
    store,
    allLost(store).filter(({ fileName }) => !names.has(fileName)),
  );
}

/** The operator keeps them, in `target`. */
export async function rescueLost(
  store: AccountStore,
  authority: Authority,
  target: EncodedMailboxName,
  signal: AbortSignal,
  mailbox?: One,
): Promise<void> {
  for (const { fileName, flags, internalDate } of lostOf(store, mailbox)) {
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
      allLost(store).filter((one) => one.fileName !== fileName),
    );
    store.removeAside(fileName);
  }
}
