import type { Flags } from "./flags.ts";
import type { ModSeq, Uid } from "./ids.ts";
import type { InternalDate } from "./internal-date.ts";

/** What is known of a message without its text. */
export interface MessageMeta {
  readonly uid: Uid;
  readonly flags: Flags;
  readonly internalDate: InternalDate;
  /** RFC822.SIZE as the legacy server tells it, in bytes; kept even when its BODY[] is longer. */
  readonly sizeBytes: number;
  /** 0n where the legacy server has no CONDSTORE. */
  readonly modSeq: ModSeq;
  /** EMAILID (RFC 8474 5.1) or X-GM-MSGID, where the legacy server has it: one id, the same bytes. */
  readonly emailId?: string | undefined;
}

/**
 * The bytes of one message, which may still be arriving: a reader waits for the bytes it asks for and
 * never for more. Whoever opened it closes it.
 */
export interface MessageContent {
  /** Exact length in bytes; known from the start. */
  readonly sizeBytes: number;
  /** There are no bytes, not even none: the old server tells NIL. */
  readonly isNil?: boolean;
  /** Bytes start..end-1; resolves when they are there, rejects if they never will be. */
  read(start: number, end: number): Buffer | Promise<Buffer>;
  close(): void;
}
