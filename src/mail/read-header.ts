import { headerEnd } from "./header.ts";
import type { MessageContent } from "./message.ts";

const firstReadBytes = 16 << 10;

/** The header block of a message with its blank line, or all of a message that has none; does not close it. */
export async function headerOf(content: MessageContent): Promise<Buffer> {
  for (let length = firstReadBytes; ; length *= 4) {
    const head = await content.read(0, Math.min(length, content.sizeBytes));
    const end = headerEnd(head);
    if (end !== undefined) return head.subarray(0, end);
    if (length >= content.sizeBytes) return head;
  }
}

/** The same, and closes it. */
export async function readHeader(content: MessageContent): Promise<Buffer> {
  try {
    return await headerOf(content);
  } finally {
    content.close();
  }
}
