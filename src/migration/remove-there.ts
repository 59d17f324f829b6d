import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";

/** Without UIDPLUS what others have marked \Deleted would go along: it is unmarked meanwhile. */
export async function removeThere(lease: MailboxLease, uids: readonly Uid[]): Promise<void> {
  if (uids.length === 0) return;
  const removed = uidSetOf(uids);
  const mark = { kind: "add", flags: ["\\Deleted"] } as const;
  if (lease.capabilities.has("UIDPLUS")) {
    await lease.store(removed, mark, () => undefined);
    return lease.expunge(removed);
  }
  const named = new Set(uids);
  const others = uidSetOf((await lease.listDeleted()).filter((one) => !named.has(one)));
  if (others.length > 0) await lease.store(others, { ...mark, kind: "remove" }, () => undefined);
  try {
    await lease.store(removed, mark, () => undefined);
    await lease.expunge();
  } finally {
    // Refused or not: they are others', and stay as they have marked them.
    if (others.length > 0) await lease.store(others, mark, () => undefined);
  }
}
