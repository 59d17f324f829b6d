/** Bytes into command lines (RFC 1939 3), capped; the result does not depend on how they were cut. */

export type Line =
  | { readonly kind: "line"; readonly text: string }
  /** Passed over to its end. */
  | { readonly kind: "too-long" }
  /** So long that nothing can follow. */
  | { readonly kind: "flood" };

export interface LineBuffer {
  push(chunk: Buffer): void;
  /** The next line without its end, latin1; undefined when it takes more bytes. */
  next(): Line | undefined;
  /** Forgets all that was pushed (RFC 2595 4: nothing sent before TLS is read after it). */
  clear(): void;
}

/** RFC 2449 4 has 255 octets; an initial response of SASL may be long (RFC 4422 3). */
const maxLineBytes = 12 * 1024;
const maxDroppedBytes = 1 << 20;
const lf = 0x0a;

export function createLineBuffer(): LineBuffer {
  let chunks: Buffer[] = [];
  let heldBytes = 0;
  let droppedBytes = 0;
  const take = (bytes: Buffer): Buffer => {
    const whole = Buffer.concat([...chunks.splice(0), bytes]);
    heldBytes = 0;
    return whole;
  };
  let rest: Buffer = Buffer.alloc(0);
  return {
    push(chunk) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    },
    next() {
      const end = rest.indexOf(lf);
      const piece = end < 0 ? rest : rest.subarray(0, end);
      rest = end < 0 ? rest.subarray(rest.length) : rest.subarray(end + 1);
      if (droppedBytes > 0 || heldBytes + piece.length > maxLineBytes) {
        droppedBytes += heldBytes + piece.length + 1;
        take(Buffer.alloc(0));
        if (droppedBytes > maxDroppedBytes) return { kind: "flood" };
        if (end < 0) return undefined;
        droppedBytes = 0;
        return { kind: "too-long" };
      }
      if (end < 0) {
        if (piece.length > 0) chunks.push(piece);
        heldBytes += piece.length;
        return undefined;
      }
      return { kind: "line", text: take(piece).toString("latin1").replace(/\r$/, "") };
    },
    clear() {
      chunks = [];
      rest = Buffer.alloc(0);
      heldBytes = 0;
      droppedBytes = 0;
    },
  };
}
