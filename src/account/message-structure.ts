import { formatBody, formatBodyStructure } from "../mail/body-structure.ts";
import type { MessageContent } from "../mail/message.ts";
import { createMimeScanner } from "../mail/mime-scanner.ts";
import type { StoredStructure } from "../store/store.ts";

const pieceBytes = 256 << 10;

/** BODY and BODYSTRUCTURE of a message, scanned piece by piece; closes it. */
export async function computeStructure(
  content: MessageContent,
  signal: AbortSignal,
): Promise<StoredStructure> {
  try {
    const scanner = createMimeScanner();
    for (let start = 0; start < content.sizeBytes; start += pieceBytes) {
      signal.throwIfAborted();
      scanner.push(await content.read(start, Math.min(start + pieceBytes, content.sizeBytes)));
    }
    const root = scanner.finish();
    return { body: formatBody(root), bodyStructure: formatBodyStructure(root) };
  } finally {
    content.close();
  }
}
