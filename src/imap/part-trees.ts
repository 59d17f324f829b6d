/**
 * Part trees of the messages that a session reads sections of, so that a client which fetches a message
 * part by part has it scanned once. Messages are scanned in pieces as they arrive and never held whole.
 */
import { LRUCache } from "lru-cache";
import { unreachable } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { noContentFields } from "../mail/mime-fields.ts";
import type { MimePart } from "../mail/mime-part.ts";
import { createMimeScanner } from "../mail/mime-scanner.ts";
import type { Output } from "../wire/output.ts";

export interface PartTrees {
  /** Waits for all of the message where it is still arriving. */
  of(uid: Uid, content: MessageContent, output: Output): Promise<MimePart>;
}

const maxTrees = 8;
const noFields = noContentFields();
const noBytes = Buffer.alloc(0);

/** One for each selected mailbox: UIDs are the keys. Most sessions never need it, and then it costs nothing. */
export function createPartTrees(): PartTrees {
  let trees: LRUCache<Uid, MimePart> | undefined;
  return {
    of: async (uid, content, output) => {
      trees ??= new LRUCache<Uid, MimePart>({ max: maxTrees });
      const known = trees.get(uid);
      if (known) return known;
      const tree = withoutText(await scan(content, output));
      trees.set(uid, tree);
      return tree;
    },
  };
}

/** Sections are found by offsets alone; what the fields say can be megabytes in mail that is made for that. */
function withoutText(part: MimePart): MimePart {
  const { header, body } = part;
  const bare = { header, body, content: noFields };
  switch (part.kind) {
    case "leaf":
      return { kind: "leaf", ...bare };
    case "multipart":
      return { kind: "multipart", ...bare, parts: part.parts.map(withoutText) };
    case "message":
      return { kind: "message", ...bare, message: withoutText(part.message), envelope: noBytes };
    default:
      return unreachable(part);
  }
}

async function scan(content: MessageContent, output: Output): Promise<MimePart> {
  const scanner = createMimeScanner();
  for await (const bytes of piecesOf(content)) {
    scanner.push(bytes);
    await output.flushed();
  }
  return scanner.finish();
}
