/** What a client keeps of mailboxes: bytes by UIDVALIDITY and UID. */
import { expect } from "vitest";
import type { ImapClient } from "./imap-client.ts";
import { fetchItems, textOf } from "./imap-values.ts";

export type UidCache = Map<string, string>;

export async function cacheOf(client: ImapClient, mailbox = "INBOX"): Promise<UidCache> {
  const { untagged: selected } = await client.ok(`SELECT "${mailbox}"`);
  const validity = /UIDVALIDITY (\d+)/.exec(selected.join("\n"))?.[1];
  const { untagged } = await client.ok("UID FETCH 1:* (UID BODY.PEEK[])");
  const cache: UidCache = new Map();
  for (const response of untagged) {
    const items = fetchItems(response);
    const body = items?.get("BODY[]");
    if (items?.has("UID") && body !== undefined)
      cache.set(`${validity}/${textOf(items.get("UID"))}`, textOf(body));
  }
  return cache;
}

/** No UID that was cached has other bytes. */
export function expectNoneChanged(before: UidCache, after: UidCache): void {
  for (const [identity, text] of after) expect(before.get(identity) ?? text).toBe(text);
}
