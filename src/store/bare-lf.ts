/** Counts line feeds without a carriage return before them: what W in a Maildir name adds to S. */
export interface BareLfCounter {
  add(bytes: Uint8Array): void;
  readonly count: number;
}

const lf = 10;
const cr = 13;
const crlf = Buffer.from("\r\n");

/** Counts over pieces: a CR at the end of one belongs to an LF at the start of the next. */
export function createBareLfCounter(): BareLfCounter {
  let count = 0;
  let last = 0;
  return {
    add(bytes) {
      if (bytes.length === 0) return;
      for (let at = bytes.indexOf(lf); at >= 0; at = bytes.indexOf(lf, at + 1)) {
        if ((at === 0 ? last : bytes[at - 1]) !== cr) count++;
      }
      last = bytes.at(-1) ?? last;
    },
    get count() {
      return count;
    },
  };
}

export function countBareLf(bytes: Uint8Array): number {
  const counter = createBareLfCounter();
  counter.add(bytes);
  return counter.count;
}

/** The same with a CR before every bare LF; `last` is the byte before. */
export function withCrlf(bytes: Buffer, last: number): Buffer {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(lf); at >= 0; at = bytes.indexOf(lf, at + 1)) {
    if ((at === 0 ? last : bytes[at - 1]) === cr) continue;
    parts.push(bytes.subarray(from, at), crlf);
    from = at + 1;
  }
  return parts.length === 0 ? bytes : Buffer.concat([...parts, bytes.subarray(from)]);
}
