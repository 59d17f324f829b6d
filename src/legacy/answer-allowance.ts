/**
 * How much the server of one connection may say before it ends an answer: what its mailbox can hold by EXISTS, and a
 * good deal beside that. Untagged data without end would fill the memory, and would push on every deadline.
 *
 * What always holds
 * - A tagged answer begins anew. Bytes of a message that somebody takes as they come count for nothing.
 * - What is too much closes the connection: nothing can be believed of such an answer.
 */
import { ServerFault } from "./server-fault.ts";

export interface AnswerAllowance {
  /** The most messages that were told of in one mailbox. */
  readonly mostMessages: number;
  /** So much has come that others are to have their turn in between. */
  readonly isMuch: boolean;
  readonly maxLineBytes: number;
  noteExists(count: number): void;
  /** Bytes came, whatever they are. */
  noteBytes(bytes: number): void;
  /** Untagged responses came; `more`: so many beside what EXISTS allows are waited for. */
  noteResponses(count: number, more?: number): void;
  /** So many of the bytes were a message's. */
  noteStreamed(bytes: number): void;
  /** A message's literals have come whole: each message may have them once, however long they are. */
  noteFetched(bytes: number): void;
  /** Nobody is kept waiting by the server: it owes nothing, or was not read. */
  noteProgress(): void;
  noteAnswered(): void;
}

/** No mailbox that can be served has more. */
export const maxMessages = 4_000_000;

/** Beside what EXISTS allows. */
const freeResponses = 20_000;
/** Messages may be told of as new, as changed and as gone while they are asked for. */
const responsesPerMessage = 3;
const freeBytes = 64 << 20;
const bytesPerMessage = 64 << 10;
/** VANISHED may name what EXISTS does not count. */
const freeLineBytes = 16 << 20;
const lineBytesPerMessage = 24;
const muchBytes = 256 << 10;
/** A slow server may take as long as its deadline for so many messages. */
const messagesPerTime = 1_000;

export function createAnswerAllowance(commandTimeoutMs: number): AnswerAllowance {
  let mostMessages = 0;
  let responses = 0;
  let bytes = 0;
  let fetched = 0;
  let progressAt = performance.now();

  return {
    get mostMessages() {
      return mostMessages;
    },
    get isMuch() {
      return bytes > muchBytes;
    },
    get maxLineBytes() {
      return freeLineBytes + lineBytesPerMessage * Math.min(mostMessages, maxMessages / 4);
    },
    noteExists(count) {
      if (count > maxMessages)
        throw new ServerFault(`The old server tells of ${count} messages in a mailbox`);
      mostMessages = Math.max(mostMessages, count);
    },
    noteBytes(count) {
      bytes += count;
      if (bytes > freeBytes + bytesPerMessage * mostMessages) throw endless();
      const allowedMs = commandTimeoutMs * (1 + mostMessages / messagesPerTime);
      if (performance.now() - progressAt > allowedMs) {
        throw new ServerFault(
          `The old server did not end an answer within ${Math.round(allowedMs / 1_000)} seconds`,
        );
      }
    },
    noteResponses(count, more = 0) {
      responses += count;
      if (responses > freeResponses + responsesPerMessage * mostMessages + more) throw endless();
    },
    noteStreamed(count) {
      bytes -= count;
      progressAt = performance.now();
    },
    noteFetched(count) {
      if (count > 0 && fetched++ < mostMessages) bytes -= count;
    },
    noteProgress() {
      progressAt = performance.now();
    },
    noteAnswered() {
      responses = 0;
      bytes = 0;
      fetched = 0;
      progressAt = performance.now();
    },
  };
}

function endless(): ServerFault {
  return new ServerFault("The old server does not come to the end of an answer");
}
