/**
 * Messages whose bytes are not as many as the legacy server says (RFC822.SIZE), or NIL: whether they are whole is
 * found out by asking once more, for that message alone and on another connection.
 *
 * What always holds: bytes are kept only where they agree with the size within line endings, or where they came
 * twice, on two connections, and are not evidently less than the message.
 */
import { createHash } from "node:crypto";
import { MailError } from "../errors.ts";

export interface Doubt {
  /** What the server says. */
  readonly sizeBytes: number;
  /** What it gives; undefined: NIL. */
  readonly given: Given | undefined;
  /** For who waits for them, where they are at hand. */
  readonly bytes?: Buffer | undefined;
}

export interface Given {
  readonly length: number;
  readonly digest: string;
}

/** Of bytes as they come. */
export interface ContentCheck {
  add(chunk: Buffer): void;
  /** Servers count a line's end as they keep it, as one byte, or as two. */
  agreesWith(sizeBytes: number): boolean;
  given(): Given;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

export function createContentCheck(): ContentCheck {
  const hash = createHash("sha256");
  const ends = { lf: 0, crlf: 0 };
  let length = 0;
  let last = 0;
  return {
    add(chunk) {
      for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, at + 1)) {
        const before = at === 0 ? last : chunk[at - 1];
        ends[before === carriageReturn ? "crlf" : "lf"]++;
      }
      hash.update(chunk);
      length += chunk.length;
      last = chunk.at(-1) ?? last;
    },
    agreesWith: (sizeBytes) => [length, length + ends.lf, length - ends.crlf].includes(sizeBytes),
    given: () => ({ length, digest: hash.digest("base64") }),
  };
}

/** The server's sizes are wrong by nature (Exchange estimates them, others tell 0): twice the same, and no mere part. */
export function isProven(first: Doubt | undefined, second: Given, sizeBytes: number): boolean {
  const { length, digest } = second;
  if (length === 0 || first?.given?.digest !== digest) return false;
  return sizeBytes === 0 || (length >= sizeBytes / 2 && length <= sizeBytes * 2);
}

export function doubtful({ given, sizeBytes }: Doubt): MailError {
  const told = given ? `gives ${given.length} bytes of it` : "gives NIL for it";
  return new MailError("SERVERBUG", `the old server ${told}, and says that it has ${sizeBytes}`);
}
