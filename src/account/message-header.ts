import type { MessageContent } from "../mail/message.ts";

const firstReadBytes = 16 << 10;

/** The header block of a message with its blank line, or all of a message that has none; closes it. */
export async function readHeader(content: MessageContent): Promise<Buffer> {
  try {
    for (let length = firstReadBytes; ; length *= 4) {
      const head = await content.read(0, Math.min(length, content.sizeBytes));
      const end = endOfHeader(head);
      if (end !== undefined) return head.subarray(0, end);
      if (length >= content.sizeBytes) return head;
    }
  } finally {
    content.close();
  }
}

/** Offset behind the blank line; undefined when there is none in `bytes`. */
function endOfHeader(bytes: Buffer): number | undefined {
  if (bytes[0] === 0x0a) return 1;
  if (bytes[0] === 0x0d && bytes[1] === 0x0a) return 2;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at + 1] === 0x0a) return at + 2;
    if (bytes[at + 1] === 0x0d && bytes[at + 2] === 0x0a) return at + 3;
  }
  return undefined;
}
