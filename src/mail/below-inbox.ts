/**
 * INBOX is INBOX in any case (RFC 3501 5.1), and there are servers that write `Inbox/Sub` for what is below it. A name
 * is kept as it is listed; a client that knows it below `INBOX` means the same.
 */
import { type EncodedMailboxName, encodedMailboxName } from "./ids.ts";

interface Named {
  readonly name: EncodedMailboxName;
  readonly separator: string | null;
}

export function findByName<T extends Named>(all: readonly T[], name: EncodedMailboxName): T | undefined {
  const exact = all.find((one) => one.name === name);
  if (exact || !/^inbox./i.test(name)) return exact;
  const wanted = asBelowInbox(name);
  return all.find((one) => isBelowInbox(one) && asBelowInbox(one.name) === wanted);
}

/** The name as it is listed; of one that is new below INBOX, the beginning as its neighbours have it. */
export function asListed(all: readonly Named[], name: EncodedMailboxName): EncodedMailboxName {
  const known = findByName(all, name);
  if (known || !/^inbox./i.test(name)) return known?.name ?? name;
  const neighbours = all.filter((one) => isBelowInbox(one) && one.separator === name[5]);
  if (!neighbours[0] || neighbours.some((one) => one.name.startsWith(name.slice(0, 5)))) return name;
  return encodedMailboxName(neighbours[0].name.slice(0, 5) + name.slice(5));
}

function isBelowInbox({ name, separator }: Named): boolean {
  return /^inbox./i.test(name) && name[5] === separator;
}

/** Of a name that begins with it, in any case. */
function asBelowInbox(name: string): string {
  return name.slice(0, 5).toUpperCase() + name.slice(5);
}
