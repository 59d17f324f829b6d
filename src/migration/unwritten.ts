/**
 * What is served though the disk, being full, has refused it. Up to some MODSEQ all is written down, and no record of
 * a higher one is: the next opening asks for what has changed since.
 */
import type { ModSeq, Uid } from "../mail/ids.ts";
import type { MailboxRecord, StoredMessage } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";

export interface Unwritten {
  readonly isEmpty: boolean;
  /** `record` was written down before. */
  note(messages: readonly StoredMessage[], record: MailboxRecord): void;
  /** As it may be written down. */
  writable(record: MailboxRecord): MailboxRecord;
  /** There may be room again: `write` is given what is left. */
  retry(write: (uids: readonly Uid[]) => void): void;
  clear(): void;
}

export function createUnwritten(): Unwritten {
  const uids = new Set<Uid>();
  let since: ModSeq | undefined;
  const clear = (): void => {
    uids.clear();
    since = undefined;
  };
  return {
    get isEmpty() {
      return since === undefined;
    },
    note(messages, { highestModSeq }) {
      since ??= highestModSeq;
      for (const { uid } of messages) uids.add(uid);
    },
    writable: (record) => (since === undefined ? record : { ...record, highestModSeq: since }),
    retry(write) {
      if (since === undefined) return;
      try {
        write([...uids]);
        clear();
      } catch (error) {
        if (!(error instanceof StoreTrouble)) throw error;
      }
    },
    clear,
  };
}
