import type { Logger } from "../log.ts";
import type { AccountDatabase } from "./database.ts";
import type { FlushAhead } from "./durable.ts";
import type { ExpungeLog } from "./expunge-log.ts";
import type { FolderFlusher } from "./flusher.ts";
import type { IndexDb } from "./index-db.ts";
import type { RevisedMaildrop } from "./maildrop-table.ts";
import type { MessageCache } from "./message-cache.ts";
import type { SidecarDb } from "./sidecar-db.ts";
import type { WriterJobs } from "./writer.ts";

/** What the parts of one account's store share. */
export interface StoreContext {
  /** The account's folder. */
  readonly directory: string;
  /** `<directory>/Maildir`. */
  readonly maildir: string;
  readonly database: AccountDatabase;
  readonly index: IndexDb;
  readonly cache: MessageCache;
  readonly sidecar: SidecarDb;
  readonly expunges: ExpungeLog;
  readonly maildrop: RevisedMaildrop;
  readonly writer: WriterJobs;
  /** Is told of every file that is made, renamed or removed; what the databases write it finds out itself. */
  readonly flusher: FolderFlusher;
  readonly flushAhead: FlushAhead;
  readonly logger: Logger;
  /** What is here has no other home: no file is deleted but by a client's wish. */
  isLocal: boolean;
  /** Nothing is written down: the disk takes nothing. Not of a local account. */
  readonly isPassing: boolean;
  /** Changes with every start of the machine. */
  readonly bootId: string;
}
