/**
 * A message whose file has bare LFs, as local delivery agents write them, with CRLF line ends: that is how it is served,
 * by Dovecot, too. Made as it is read; of a big one it is kept where some of its bytes begin.
 */
import { MailError } from "../errors.ts";
import type { MessageContent } from "../mail/message.ts";
import { contentOf } from "../mail/message-content.ts";
import { withCrlf } from "./bare-lf.ts";
import { readWholeUpToBytes } from "./message-file.ts";

const pieceBytes = 64 << 10;

/** Where a piece begins: in the message and in the file, and the file's byte before. */
interface Mark {
  readonly at: number;
  readonly inFile: number;
  readonly last: number;
}

/** `sizeBytes`: with CRLF. undefined where a file that is here whole is not as long as that. */
export function crlfContent(file: MessageContent, sizeBytes: number): MessageContent | undefined {
  if (file.sizeBytes === sizeBytes) return file;
  if (file.sizeBytes > readWholeUpToBytes) return readOn(file, sizeBytes);
  const whole = file.read(0, file.sizeBytes);
  if (whole instanceof Promise) return readOn(file, sizeBytes);
  const bytes = withCrlf(whole, 0);
  return bytes.length === sizeBytes ? contentOf(bytes) : undefined;
}

function readOn(file: MessageContent, sizeBytes: number): MessageContent {
  const marks: Mark[] = [{ at: 0, inFile: 0, last: 0 }];
  const markBefore = (start: number): Mark => {
    let found = marks.length - 1;
    while (found > 0 && (marks[found]?.at ?? 0) > start) found--;
    return marks[found] ?? { at: 0, inFile: 0, last: 0 };
  };
  return {
    sizeBytes,
    async read(start, end) {
      const wantedEnd = Math.min(end, sizeBytes);
      const parts: Buffer[] = [];
      let mark = markBefore(start);
      while (mark.at < wantedEnd) {
        if (mark.inFile >= file.sizeBytes)
          throw new MailError("UNAVAILABLE", "the message file ends too early");
        const piece = await file.read(mark.inFile, Math.min(mark.inFile + pieceBytes, file.sizeBytes));
        const crlf = withCrlf(piece, mark.last);
        parts.push(crlf.subarray(Math.max(0, start - mark.at), Math.max(0, wantedEnd - mark.at)));
        mark = { at: mark.at + crlf.length, inFile: mark.inFile + piece.length, last: piece.at(-1) ?? 0 };
        if (mark.at > (marks.at(-1)?.at ?? 0)) marks.push(mark);
      }
      return Buffer.concat(parts);
    },
    close: () => file.close(),
  };
}
