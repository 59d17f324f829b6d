/**
 * Bytes of an IMAP server into whole responses, incrementally: a chunk may end anywhere.
 *
 * What always holds
 * - A response is its text as latin1 (one char per byte, without the final CRLF) and its literals: where
 *   the text has `{n}`, the next literal follows. No byte is decoded or dropped.
 * - A literal whose handler gives a sink is never gathered: subarrays of the socket's chunks are passed
 *   on, and it stands as `streamedLiteral` in the list.
 * - What is gathered of one response is bounded by `maxResponseBytes`, one line of it by `maxLineBytes`.
 * - While a sink's promise is pending nothing further is read.
 */
import { MailError } from "../errors.ts";

/** Takes the bytes of one literal; exactly its size is written. */
export interface LiteralSink {
  write(chunk: Buffer): undefined | Promise<void>;
  end(): undefined | Promise<void>;
}

export interface ResponseHandler {
  /** At the beginning of a line: how many bytes of whole lines it has dealt with itself. */
  lines?(bytes: Buffer): number;
  /**
   * A literal of `sizeBytes` follows `text`, the response so far, which ends with its `{n}`. Return a
   * sink to have it streamed, undefined to have it gathered.
   */
  literal(text: string, literals: readonly Buffer[], sizeBytes: number): LiteralSink | undefined;
  response(text: string, literals: readonly Buffer[]): undefined | Promise<void>;
  /** Bytes have gone to a sink. */
  onStreamed?(bytes: number): void;
}

export interface ReaderLimits {
  readonly maxResponseBytes?: number;
  readonly maxLineBytes?: () => number;
}

export interface ResponseReader {
  /** Reads a chunk; a promise means that no other may be given before it is resolved. */
  push(chunk: Buffer): undefined | Promise<void>;
  /** Nothing is read and no sink is called any more. */
  stop(): void;
}

/** Stands for a literal that went to a sink. */
export const streamedLiteral: Buffer = Buffer.alloc(0);

interface PendingLiteral {
  missingBytes: number;
  readonly sink: LiteralSink | undefined;
  /** In one piece from the beginning: a large one is held once. */
  readonly gathered: Buffer;
}

const defaultMaxResponseBytes = 128 << 20;
/** RFC 3501 9: a number has 32 bits. */
const maxStreamedBytes = 0xffff_ffff;
/** One behind the other. */
const maxEmptyLines = 1_000;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const noBytes: Buffer = Buffer.alloc(0);

export function createResponseReader(
  handler: ResponseHandler,
  { maxResponseBytes = defaultMaxResponseBytes, maxLineBytes = () => maxResponseBytes }: ReaderLimits = {},
): ResponseReader {
  let rest = noBytes;
  /** The current line as far as it came in earlier chunks. */
  let lineStart: Buffer[] = [];
  let lineStartBytes = 0;
  let text = "";
  let literals: Buffer[] = [];
  let literal: PendingLiteral | undefined;
  let gatheredBytes = 0;
  let emptyLines = 0;
  let isStopped = false;

  const countGathered = (bytes: number): void => {
    gatheredBytes += bytes;
    if (gatheredBytes > maxResponseBytes) throw tooLong();
  };

  /** False where the next line is to be read here, or is not begun yet. */
  const skipLines = (): boolean => {
    if (!handler.lines || text !== "" || lineStart.length > 0) return false;
    const bytes = handler.lines(rest);
    if (bytes > 0) rest = rest.subarray(bytes);
    return rest.length === 0;
  };

  const readLine = (): undefined | Promise<void> => {
    if (skipLines()) return undefined;
    const end = rest.indexOf(lineFeed);
    if (end < 0) {
      countGathered(rest.length);
      lineStartBytes += rest.length;
      if (lineStartBytes > maxLineBytes()) throw tooLong();
      lineStart.push(rest);
      rest = noBytes;
      return undefined;
    }
    let line = rest;
    let length = end;
    rest = rest.subarray(end + 1);
    if (lineStart.length > 0) {
      line = Buffer.concat([...lineStart, line.subarray(0, end)]);
      length = line.length;
      lineStart = [];
      lineStartBytes = 0;
    }
    if (length > 0 && line[length - 1] === carriageReturn) length--;
    const piece = line.toString("latin1", 0, length);
    text = text === "" ? piece : text + piece;
    const sizeBytes = literalSize(piece, text);
    return sizeBytes === undefined ? endResponse() : beginLiteral(sizeBytes);
  };

  const endResponse = (): undefined | Promise<void> => {
    const whole = text;
    const wholeLiterals = literals;
    text = "";
    gatheredBytes = 0;
    if (wholeLiterals.length > 0) literals = [];
    if (whole === "") {
      if (++emptyLines > maxEmptyLines) throw tooLong();
      return undefined;
    }
    emptyLines = 0;
    return handler.response(whole, wholeLiterals);
  };

  const beginLiteral = (sizeBytes: number): undefined | Promise<void> => {
    countGathered(text.length);
    const sink = handler.literal(text, literals, sizeBytes);
    if (!sink) countGathered(sizeBytes);
    else if (sizeBytes > maxStreamedBytes) throw tooLong();
    literal = { missingBytes: sizeBytes, sink, gathered: sink ? noBytes : Buffer.allocUnsafe(sizeBytes) };
    return sizeBytes === 0 ? endLiteral(literal) : undefined;
  };

  const readLiteral = (pending: PendingLiteral): undefined | Promise<void> => {
    const chunk = rest.length <= pending.missingBytes ? rest : rest.subarray(0, pending.missingBytes);
    rest = rest.subarray(chunk.length);
    if (pending.sink) handler.onStreamed?.(chunk.length);
    else chunk.copy(pending.gathered, pending.gathered.length - pending.missingBytes);
    pending.missingBytes -= chunk.length;
    const isWhole = pending.missingBytes === 0;
    const wait = pending.sink?.write(chunk);
    if (!isWhole) return wait;
    return wait ? wait.then(() => (isStopped ? undefined : endLiteral(pending))) : endLiteral(pending);
  };

  const endLiteral = (ended: PendingLiteral): undefined | Promise<void> => {
    literal = undefined;
    literals.push(ended.sink ? streamedLiteral : ended.gathered);
    return ended.sink?.end();
  };

  const run = (): undefined | Promise<void> => {
    while (rest.length > 0 && !isStopped) {
      const wait = literal ? readLiteral(literal) : readLine();
      if (wait) return wait.then(run);
    }
    return undefined;
  };

  return {
    push(chunk) {
      rest = chunk;
      return run();
    },
    stop() {
      isStopped = true;
    },
  };
}

function tooLong(): MailError {
  return new MailError("UNAVAILABLE", "The old server's answer is too long");
}

/** RFC 3501 4.3: `{n}` at the end of a line, but for free text (status responses, continuations). */
function literalSize(line: string, text: string): number | undefined {
  if (line.charCodeAt(line.length - 1) !== 0x7d || !text.startsWith("* ")) return undefined;
  const match = /\{(\d{1,15})\+?\}$/.exec(line.slice(-20));
  if (!match || /^\* (?:OK|NO|BAD|BYE|PREAUTH)\b/i.test(text)) return undefined;
  return Number(match[1]);
}
