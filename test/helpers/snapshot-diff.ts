import type { AccountSnapshot, MailboxSnapshot, SnapshotItem } from "./snapshot.ts";

export interface DiffOptions {
  /**
   * STATUS or FETCH items that need not agree. `RECENT` depends on who looked first; `CHILDREN` are those attributes
   * of LIST, which some servers do not tell.
   */
  readonly ignore?: readonly (
    | SnapshotItem
    | "RECENT"
    | "UNSEEN"
    | "UIDNEXT"
    | "LIST"
    | "CHILDREN"
    | "LSUB"
    | "NAMESPACE"
  )[];
}

/** What differs, one readable line each: mailbox, UID, item, both values. Empty when nothing does. */
export function diffSnapshots(a: AccountSnapshot, b: AccountSnapshot, options: DiffOptions = {}): string[] {
  const ignored = new Set<string>(options.ignore ?? []);
  const lines: string[] = [];
  if (a.namespace !== b.namespace && !ignored.has("NAMESPACE")) {
    lines.push(`NAMESPACE: ${a.namespace} | ${b.namespace}`);
  }
  const listed = ignored.has("CHILDREN") ? withoutChildren : (list: Lines) => list;
  if (!ignored.has("LIST")) lines.push(...diffMaps("LIST", listed(a.list), listed(b.list)));
  if (!ignored.has("LSUB")) lines.push(...diffMaps("LSUB", a.lsub, b.lsub));
  for (const name of unionOfKeys(a.mailboxes, b.mailboxes)) {
    const [one, other] = [a.mailboxes.get(name), b.mailboxes.get(name)];
    if (one && other) lines.push(...diffMailboxes(name, one, other, ignored));
    else lines.push(`${name}: mailbox only in the ${one ? "first" : "second"}`);
  }
  return lines;
}

type Lines = ReadonlyMap<string, string>;

function withoutChildren(list: Lines): Lines {
  return new Map([...list].map(([name, line]) => [name, line.replace(/ ?\\Has(?:No)?Children/g, "")]));
}

function diffMailboxes(name: string, a: MailboxSnapshot, b: MailboxSnapshot, ignored: ReadonlySet<string>) {
  const lines: string[] = [];
  for (const line of diffMaps(name, a.status, b.status, ignored)) lines.push(line);
  for (const uid of unionOfKeys(a.messages, b.messages)) {
    const [one, other] = [a.messages.get(uid), b.messages.get(uid)];
    if (!one || !other) {
      lines.push(`${name} UID ${uid}: only in the ${one ? "first" : "second"}`);
      continue;
    }
    for (const item of Object.keys(one) as SnapshotItem[]) {
      if (one[item] !== other[item] && !ignored.has(item)) {
        lines.push(`${name} UID ${uid} ${item}: ${shorten(one[item])} | ${shorten(other[item])}`);
      }
    }
  }
  return lines;
}

function diffMaps(
  what: string,
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
  ignored: ReadonlySet<string> = new Set(),
): string[] {
  return unionOfKeys(a, b)
    .filter((key) => a.get(key) !== b.get(key) && !ignored.has(key))
    .map((key) => `${what} ${key}: ${a.get(key) ?? "absent"} | ${b.get(key) ?? "absent"}`);
}

function unionOfKeys<K>(a: ReadonlyMap<K, unknown>, b: ReadonlyMap<K, unknown>): K[] {
  return [...new Set([...a.keys(), ...b.keys()])];
}

function shorten(text: string): string {
  return text.length <= 300 ? text : `${text.slice(0, 300)}… (${text.length} chars)`;
}
