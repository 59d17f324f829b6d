/**
 * Cuts the bytes of a connection into IMAP responses: a line, and where it ends in `{n}` the n bytes of
 * the literal and the line that follows, and so on. Each response is given without its last CRLF.
 */
export interface ResponseSplitter {
  push(chunk: Buffer): void;
}

export function createResponseSplitter(onResponse: (response: Buffer) => void): ResponseSplitter {
  let chunks: Buffer[] = [];
  let heldBytes = 0;
  /** Bytes that are needed before looking again: the end of a literal plus its line's CRLF. */
  let neededBytes = 1;
  /** Start of the current line within the current response. */
  let lineStart = 0;

  function drain(): void {
    let bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
    for (;;) {
      const end = bytes.indexOf("\r\n", lineStart, "latin1");
      if (end < 0) {
        neededBytes = bytes.length + 1;
        break;
      }
      const literalBytes = literalAt(bytes, lineStart, end);
      if (literalBytes === undefined) {
        onResponse(bytes.subarray(0, end));
        bytes = bytes.subarray(end + 2);
        lineStart = 0;
        continue;
      }
      lineStart = end + 2 + literalBytes;
      if (bytes.length < lineStart + 2) {
        neededBytes = lineStart + 2;
        break;
      }
    }
    chunks = [bytes];
    heldBytes = bytes.length;
  }

  return {
    push(chunk) {
      chunks.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes >= neededBytes) drain();
    },
  };
}

/** The octet count of a literal (or `~{n}` literal8) announced at the end of a line. */
function literalAt(bytes: Buffer, lineStart: number, lineEnd: number): number | undefined {
  if (bytes[lineEnd - 1] !== 0x7d) return undefined;
  const tail = bytes.toString("latin1", Math.max(lineStart, lineEnd - 14), lineEnd);
  const match = /\{(\d{1,10})\}$/.exec(tail);
  return match ? Number(match[1]) : undefined;
}
