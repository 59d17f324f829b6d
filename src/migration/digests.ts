/** What tells messages apart by their bytes: of those that come from a legacy server, and of those that are here. */
import type { BodySink } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";

export interface Digest {
  write(bytes: Buffer): void;
  end(): string;
}

/** Puts that of each message into `digests`. */
export function digestingSink(digests: Map<Uid, string>, createDigest: () => Digest): BodySink {
  let current: { readonly uid: Uid; readonly digest: Digest } | undefined;
  return {
    begin(uid) {
      current = { uid, digest: createDigest() };
    },
    write(chunk) {
      current?.digest.write(chunk);
      return undefined;
    },
    end() {
      if (current) digests.set(current.uid, current.digest.end());
      return undefined;
    },
  };
}

/** Does not close it. */
export async function digestOf(content: MessageContent, digest: Digest): Promise<string> {
  for await (const bytes of piecesOf(content)) digest.write(bytes);
  return digest.end();
}
