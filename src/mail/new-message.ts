import type { Uid, UidValidity } from "./ids.ts";
import type { InternalDate } from "./internal-date.ts";
import type { MessageContent } from "./message.ts";

/** A message on its way in, on disk as far as it has come; whoever got it discards it at last. */
export interface IncomingMessage {
  readonly sizeBytes: number;
  /** Throws UNAVAILABLE where the disk refuses. */
  write(bytes: Buffer): Promise<void>;
  /** The caller closes it; outlives `discard`. */
  open(): MessageContent;
  discard(): void;
}

/** What APPEND adds to a mailbox. */
export interface NewMessage {
  readonly incoming: IncomingMessage;
  readonly flags: readonly string[];
  /** undefined: the time of its arrival. */
  readonly internalDate: InternalDate | undefined;
}

/** What APPENDUID tells (RFC 4315 3). */
export interface AppendedUid {
  readonly uidValidity: UidValidity;
  readonly uid: Uid;
}
