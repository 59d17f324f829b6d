/**
 * UIDLs that tell a message by its content: Mailutils makes them of the MD5 of the message as its file has it, the
 * second, and the UID that it had then (maybe under another UIDVALIDITY). The old server need not be asked for anything.
 */
import { createHash } from "node:crypto";
import type { Uidl } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { createServerFieldFilter } from "../mail/server-fields.ts";
import { type Keys, type Matching, matchByKey } from "./uidl-match.ts";

const form = /^([0-9a-f]{32})\.\d+\.(\d+)$/;

export function haveDigests({ pop3 }: Matching): boolean {
  return pop3.every(({ uidl }) => form.test(uidl));
}

/** `digestHere`: of what IMAP shows, by `contentDigest`. */
export function matchByDigest(matching: Matching, digestHere: Keys["ofImap"]): Matching {
  const part = (uidl: Uidl, index: 1 | 2): string | undefined => form.exec(uidl)?.[index];
  const withUid: Keys = {
    ofImap: (message) => joined(digestHere(message), message.uid),
    ofPop3: ({ uidl }) => joined(part(uidl, 1), part(uidl, 2)),
  };
  const alone: Keys = { ofImap: digestHere, ofPop3: ({ uidl }) => part(uidl, 1) };
  // Equal to the last byte: whichever is taken, no client can tell.
  return matchByKey(matchByKey(matching, withUid, "single"), alone, "any");
}

function joined(digest: string | undefined, uid: number | string | undefined): string | undefined {
  return digest === undefined ? undefined : `${digest} ${uid}`;
}

/** As the file has it: with LF, and without what has been written into it since. */
export async function contentDigest(content: MessageContent): Promise<string> {
  const hash = createHash("md5");
  const filter = createServerFieldFilter((bytes) =>
    hash.update(bytes.toString("latin1").replaceAll("\r", ""), "latin1"),
  );
  try {
    for await (const bytes of piecesOf(content)) filter.write(bytes);
    filter.end();
    return hash.digest("hex");
  } finally {
    content.close();
  }
}
