/**
 * INBOX is INBOX in any case (RFC 3501 5.1), and there are servers that write `Inbox/Sub` for what is below it. A name
 * is kept as it is listed; a client that knows it below `INBOX` means the same.
 */
import type { EncodedMailboxName } from "./ids.ts";

interface Named {
  readonly name: EncodedMailboxName;
  readonly separator: string | null;
}

export function findByName<T extends Named>(all: readonly T[], name: EncodedMailboxName): T | undefined {
  const exact = all.find((one) => one.name === name);
  if (exact || !/^inbox./i.test(name)) return exact;
  const wanted = asBelowInbox(name);
  return all.find((one) => one.name[5] === one.separator && asBelowInbox(one.name) === wanted);
}

/** Of a name that begins with it, in any case. */
function asBelowInbox(name: string): string {
  return name.slice(0, 5).toUpperCase() + name.slice(5);
}
