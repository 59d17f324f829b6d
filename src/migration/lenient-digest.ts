/** Of what servers leave alone: some change line ends and NUL when they take a message in, or write notes into it. */
import { createHash } from "node:crypto";
import { createServerFieldFilter } from "../mail/server-fields.ts";
import type { Digest } from "./digests.ts";

export function lenientDigest(): Digest {
  const hash = createHash("sha256");
  const filter = createServerFieldFilter((bytes) => {
    const text = bytes.toString("latin1").replaceAll("\r", "").replaceAll("\0", "\x80");
    hash.update(text, "latin1");
  });
  return {
    write: filter.write,
    end() {
      filter.end();
      return hash.digest("hex");
    },
  };
}

export function lenientDigestOf(bytes: Buffer): string {
  const digest = lenientDigest();
  digest.write(bytes);
  return digest.end();
}
