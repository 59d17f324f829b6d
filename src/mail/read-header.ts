import type { MessageContent } from "./message.ts";
import { endOfHeader } from "./message-print.ts";

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
