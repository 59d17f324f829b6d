/**
 * Part trees of the messages that a session reads sections of, so that a client which fetches a message
 * part by part has it scanned once. Messages are scanned in pieces as they arrive and never held whole.
 */
import { LRUCache } from "lru-cache";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import type { MimePart } from "../mail/mime-part.ts";
import { createMimeScanner } from "../mail/mime-scanner.ts";
import type { Output } from "./output.ts";

export interface PartTrees {
  /** Waits for all of the message where it is still arriving. */
  of(uid: Uid, content: MessageContent, output: Output): Promise<MimePart>;
}

const maxTrees = 8;
const pieceBytes = 128 * 1024;

/** One for each selected mailbox: UIDs are the keys. */
export function createPartTrees(): PartTrees {
  const trees = new LRUCache<Uid, MimePart>({ max: maxTrees });
  return {
    of: async (uid, content, output) => {
      const known = trees.get(uid);
      if (known) return known;
      const tree = await scan(content, output);
      trees.set(uid, tree);
      return tree;
    },
  };
}

async function scan(content: MessageContent, output: Output): Promise<MimePart> {
  const scanner = createMimeScanner();
  for (let start = 0; start < content.sizeBytes; start += pieceBytes) {
    scanner.push(await content.read(start, Math.min(start + pieceBytes, content.sizeBytes)));
    await output.flushed();
  }
  return scanner.finish();
}
