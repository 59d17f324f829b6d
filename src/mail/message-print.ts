/**
 * A fingerprint of a whole message that is the same for what IMAP and POP3 show of it: the header's print, and the
 * body but for what servers change in it (line ends, the last one, NULs).
 */
import { createHash } from "node:crypto";
import { headerEnd } from "./header.ts";
import { headerPrint } from "./header-print.ts";

export interface MessagePrint {
  write(bytes: Buffer): void;
  end(): string;
}

const lf = 0x0a;
const cr = 0x0d;
/** Dovecot shows NUL as this (RFC 3501 has none in a literal). */
const shownNul = 0x80;
/** A header that is longer is compared as a body. */
const maxHeaderBytes = 1 << 20;

export function createMessagePrint(): MessagePrint {
  const body = createHash("sha1");
  let head: Buffer[] = [];
  let headBytes = 0;
  let header: string | undefined;
  /** Line ends that are kept back: at the end they do not count. */
  let lineEnds = 0;

  const addBody = (bytes: Buffer): void => {
    const kept = Buffer.allocUnsafe(bytes.length + lineEnds);
    let length = 0;
    for (const byte of bytes) {
      if (byte === cr) continue;
      if (byte === lf) {
        lineEnds++;
        continue;
      }
      // Those kept back before this chunk and in it fit: each of them was a byte.
      for (; lineEnds > 0; lineEnds--) kept[length++] = lf;
      kept[length++] = byte === 0 ? shownNul : byte;
    }
    body.update(kept.subarray(0, length));
  };
  const endHeader = (all: Buffer, end: number): void => {
    header = headerPrint(all.subarray(0, end)).hash;
    head = [];
    addBody(all.subarray(end));
  };
  return {
    write(bytes) {
      if (header !== undefined) return addBody(bytes);
      head.push(bytes);
      headBytes += bytes.length;
      const all = Buffer.concat(head);
      head = [all];
      const end = headerEnd(all);
      if (end !== undefined) endHeader(all, end);
      else if (headBytes > maxHeaderBytes) endHeader(all, all.length);
    },
    end() {
      if (header === undefined) endHeader(Buffer.concat(head), headBytes);
      return `${header}:${body.digest("hex")}`;
    },
  };
}
