/**
 * Multi-line answers of POP3 (RFC 1939 3): a line that begins with a dot gets another one, and a line with
 * nothing but a dot ends the answer. Bytes come in chunks that may end anywhere; what a chunk looks like
 * at its end decides nothing.
 */

const dot = 0x2e;
const cr = 0x0d;
const lf = 0x0a;
const oneDot = Buffer.from(".");
const oneCr = Buffer.from("\r");

/** `text`: within a line; `start`: at the start of one; `dot`, `dot-cr`: behind `.` and `.` CR there. */
type Place = "text" | "start" | "dot" | "dot-cr";

export interface Unstuffed {
  /** The answer's bytes, parts of the chunk. */
  readonly pieces: readonly Buffer[];
  /** Where in the chunk the answer has ended: what follows belongs to the next one. */
  readonly end: number | undefined;
}

export interface DotUnstuffer {
  /** Not to be called after the end. */
  push(chunk: Buffer): Unstuffed;
}

/** Takes LF alone for a line end, too: some servers send what their users' programs wrote. */
export function createDotUnstuffer(): DotUnstuffer {
  let place: Place = "start";
  return {
    push(chunk) {
      const pieces: Buffer[] = [];
      let from = 0;
      let at = 0;
      const take = (to: number): void => {
        if (to > from) pieces.push(chunk.subarray(from, to));
      };
      while (at < chunk.length) {
        const byte = chunk[at];
        if (place === "text") {
          const end = chunk.indexOf(lf, at);
          if (end < 0) break;
          at = end + 1;
          place = "start";
        } else if (place === "start") {
          if (byte === dot) {
            take(at);
            from = ++at;
            place = "dot";
          } else place = "text";
        } else if (byte === lf) return { pieces, end: at + 1 };
        else if (place === "dot" && byte === cr) {
          from = ++at;
          place = "dot-cr";
        } else {
          // Before another dot it was put there, and goes; else no stuffer was at work, and it is the line's own.
          if (place === "dot-cr" || byte !== dot) pieces.push(oneDot);
          if (place === "dot-cr") pieces.push(oneCr);
          place = "text";
        }
      }
      take(chunk.length);
      return { pieces, end: undefined };
    },
  };
}

export interface DotStuffer {
  push(chunk: Buffer): readonly Buffer[];
  /** What ends the answer, a line end before it where the bytes had none; a CR alone is theirs, and none. */
  end(): Buffer;
}

export function createDotStuffer(): DotStuffer {
  let isAtStart = true;
  return {
    push(chunk) {
      const pieces: Buffer[] = [];
      let from = 0;
      for (let at = 0; at < chunk.length; ) {
        if (isAtStart && chunk[at] === dot) {
          if (at > from) pieces.push(chunk.subarray(from, at));
          pieces.push(oneDot);
          from = at;
        }
        isAtStart = false;
        const end = chunk.indexOf(lf, at);
        if (end < 0) break;
        isAtStart = true;
        at = end + 1;
      }
      if (chunk.length > from) pieces.push(chunk.subarray(from));
      return pieces;
    },
    end: () => Buffer.from(isAtStart ? ".\r\n" : "\r\n.\r\n"),
  };
}
