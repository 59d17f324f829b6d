import type { MessageContent } from "./message.ts";

const pieceBytes = 128 << 10;

/** Bytes that are here. */
export function contentOf(bytes: Buffer): MessageContent {
  return {
    sizeBytes: bytes.length,
    read: (start, end) => bytes.subarray(start, end),
    close() {},
  };
}

/** An old server's NIL: clients are told the same. */
export const nilContent: MessageContent = { ...contentOf(Buffer.alloc(0)), isNil: true };

/** All of it in order, 128 KB at a time; does not close it. */
export async function* piecesOf(content: MessageContent): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.sizeBytes; start += pieceBytes)
    yield await content.read(start, Math.min(start + pieceBytes, content.sizeBytes));
}
