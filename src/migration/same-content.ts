/**
 * Messages that are the same bytes (EMAILID, RFC 8474; X-GM-MSGID): the first that comes is fetched, the others
 * become links to its file.
 */
import type { Uid } from "../mail/ids.ts";
import type { MailboxRecord } from "../store/store.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** The EMAILIDs of what the background is fetching, in any mailbox of the account. */
export type ContentOnItsWay = Set<string>;

export interface Claim {
  /** To be fetched now; the others of those asked for come as messages of another FETCH, and are taken then. */
  readonly uids: readonly Uid[];
  /** They have come, or not. */
  release(): void;
}

export interface SameContent {
  /** Makes those of `uids` `full` whose bytes are here. */
  take(record: MailboxRecord, uids: readonly Uid[]): Promise<void>;
  claim(uids: readonly Uid[]): Claim;
}

export function createSameContent(mailbox: MailboxState, onItsWay: ContentOnItsWay): SameContent {
  return {
    async take(record, uids) {
      const metas = uids.flatMap((uid) => {
        const message = mailbox.table.get(uid);
        return message?.presence === "meta" && message.emailId !== undefined ? message : [];
      });
      if (metas.length === 0) return;
      const files = await mailbox.store.fileCopies(record, metas);
      const filed = metas.flatMap((meta) => {
        const fileName = files.get(meta.uid);
        return fileName === undefined ? [] : { meta, fileName };
      });
      if (filed.length > 0) mailbox.commitFiles(record, filed);
    },
    claim(uids) {
      const claimed = new Set<string>();
      const free = uids.filter((uid) => {
        const message = mailbox.table.get(uid);
        const emailId = message === undefined || message.presence === "remote" ? undefined : message.emailId;
        if (emailId === undefined) return true;
        if (onItsWay.has(emailId)) return false;
        onItsWay.add(emailId);
        claimed.add(emailId);
        return true;
      });
      return {
        uids: free,
        release() {
          for (const emailId of claimed) onItsWay.delete(emailId);
        },
      };
    },
  };
}
