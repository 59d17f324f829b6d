import { formatBody, formatBodyStructure } from "../mail/body-structure.ts";
import type { MessageContent } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { createMimeScanner } from "../mail/mime-scanner.ts";
import type { StoredStructure } from "../store/store.ts";

/** BODY and BODYSTRUCTURE of a message, scanned piece by piece; closes it. */
export async function computeStructure(
  content: MessageContent,
  signal: AbortSignal,
): Promise<StoredStructure> {
  try {
    const scanner = createMimeScanner();
    for await (const bytes of piecesOf(content)) {
      signal.throwIfAborted();
      scanner.push(bytes);
    }
    const root = scanner.finish();
    return { body: formatBody(root), bodyStructure: formatBodyStructure(root) };
  } finally {
    content.close();
  }
}
