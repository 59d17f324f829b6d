/**
 * Cuts a message that arrives in chunks into lines, without keeping it: a line that spans chunks is
 * reported with its first bytes only. What is reported does not depend on where the chunks are cut.
 */

/** A place in the message: its offset and what lies before it. */
export interface Position {
  readonly offset: number;
  /** LFs before this place. */
  readonly lineCount: number;
  /** Those of them without a CR. */
  readonly bareLineCount: number;
}

/** LF, CRLF, or none at the end of the message. */
export type NewlineBytes = 0 | 1 | 2;

/**
 * Called once for each line: its content without line end is `bytes[from..to-1]`, of a line that spans
 * chunks at most the first `maxLineHeadBytes`. `newlineBytes` is 0 at the end of the message only, which
 * is reported always, if need be as an empty line. `start` and `end` change after the call.
 */
export type LineSink = (
  bytes: Buffer,
  from: number,
  to: number,
  newlineBytes: NewlineBytes,
  place: LinePlace,
) => void;

export interface LinePlace {
  readonly start: Position;
  /** Behind the line end. */
  readonly end: Position;
}

/** More than a boundary line can hold: 80 bytes of boundary, twice `--`, and some to spare. */
const maxLineHeadBytes = 96;
const lf = 0x0a;
const cr = 0x0d;

export function createLineCutter(sink: LineSink): { push(chunk: Buffer): void; finish(): void } {
  const start = { offset: 0, lineCount: 0, bareLineCount: 0 };
  const end = { offset: 0, lineCount: 0, bareLineCount: 0 };
  const place = { start, end };
  const head = Buffer.alloc(maxLineHeadBytes);
  let headBytes = 0;
  /** Bytes of the current line that earlier chunks held. */
  let heldBytes = 0;
  let lastByte = 0;

  function hold(chunk: Buffer, from: number, to: number): void {
    headBytes += chunk.copy(head, headBytes, from, to);
    heldBytes += to - from;
    lastByte = chunk[to - 1] ?? lastByte;
  }

  function report(
    bytes: Buffer,
    from: number,
    to: number,
    newlineBytes: NewlineBytes,
    lineBytes: number,
  ): void {
    end.offset += lineBytes;
    if (newlineBytes > 0) end.lineCount++;
    if (newlineBytes === 1) end.bareLineCount++;
    sink(bytes, from, to, newlineBytes, place);
    start.offset = end.offset;
    start.lineCount = end.lineCount;
    start.bareLineCount = end.bareLineCount;
  }

  function endHeldLine(chunk: Buffer, lfAt: number): void {
    if (lfAt > 0) hold(chunk, 0, lfAt);
    const newlineBytes = lastByte === cr ? 2 : 1;
    const contentBytes = heldBytes + 1 - newlineBytes;
    const lineBytes = heldBytes + 1;
    const to = Math.min(headBytes, contentBytes);
    headBytes = 0;
    heldBytes = 0;
    report(head, 0, to, newlineBytes, lineBytes);
  }

  return {
    push(chunk) {
      let from = 0;
      for (let at = nextLf(chunk, 0); at >= 0; at = nextLf(chunk, from)) {
        if (heldBytes > 0) endHeldLine(chunk, at);
        else {
          const newlineBytes = at > from && chunk[at - 1] === cr ? 2 : 1;
          report(chunk, from, at + 1 - newlineBytes, newlineBytes, at + 1 - from);
        }
        from = at + 1;
      }
      if (from < chunk.length) hold(chunk, from, chunk.length);
    },
    finish() {
      report(head, 0, headBytes, 0, heldBytes);
    },
  };
}

/** Offset of the next LF or -1. A call of `indexOf` costs as much as a look at some thirty bytes. */
function nextLf(chunk: Buffer, from: number): number {
  const near = Math.min(from + 16, chunk.length);
  for (let at = from; at < near; at++) if (chunk[at] === lf) return at;
  return chunk.indexOf(lf, near);
}
