/** UID SORT and UID THREAD (RFC 5256): order among messages whose headers are only on the server. */
import { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import { formatNumberSet, type UidSet } from "../mail/number-set.ts";
import { type SortKey, sortNames } from "../mail/sort-key.ts";
import type { ThreadAlgorithm, ThreadNode } from "../mail/thread.ts";
import { parseUid } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import type { Untagged } from "./untagged.ts";

/** What fits on a command line of Dovecot's. */
const maxSetChars = 60_000;

/** undefined where the server cannot, or there are too many to name. */
export async function uidSort(
  connection: ImapConnection,
  keys: readonly SortKey[],
  uids: UidSet,
): Promise<readonly Uid[] | undefined> {
  const { capabilities } = connection;
  const needsDisplay = keys.some(({ kind }) => kind === "display-from" || kind === "display-to");
  const set = formatNumberSet(uids);
  if (!capabilities.has("SORT") || (needsDisplay && !capabilities.has("SORT=DISPLAY"))) return undefined;
  if (set.length > maxSetChars) return undefined;
  const order = keys.map(({ kind, reverse }) => `${reverse ? "REVERSE " : ""}${sortNames[kind]}`).join(" ");
  const answer = await ask(connection, `UID SORT (${order}) US-ASCII UID ${set}`, "SORT");
  return answer
    .split(" ")
    .map(parseUid)
    .filter((uid) => uid !== undefined);
}

/** undefined where the server cannot, or there are too many to name. */
export async function uidThread(
  connection: ImapConnection,
  algorithm: ThreadAlgorithm,
  uids: UidSet,
): Promise<readonly ThreadNode[] | undefined> {
  const set = formatNumberSet(uids);
  if (!connection.capabilities.has(`THREAD=${algorithm}`) || set.length > maxSetChars) return undefined;
  return parseThreads(await ask(connection, `UID THREAD ${algorithm} US-ASCII UID ${set}`, "THREAD"));
}

/** A thread of one, of the longest UID. */
const charsPerMessage = 24;
const freeChars = 1 << 20;

/** What stands behind the name in the answer. */
async function ask(connection: ImapConnection, command: string, name: string): Promise<string> {
  let answer = "";
  const tagged = await connection.run({
    parts: [command],
    onUntagged(untagged: Untagged) {
      if (untagged.kind !== "data" || untagged.name !== name) return false;
      if (answer.length + untagged.text.length > freeChars + charsPerMessage * connection.mostMessages) {
        throw new MailError("UNAVAILABLE", `The old server's answer to ${name} is too long`);
      }
      answer += ` ${untagged.text.slice(untagged.position)}`;
      return true;
    },
  });
  expectOk(tagged);
  return answer.trim();
}

interface Node {
  uid: Uid | undefined;
  readonly children: Node[];
}

/** RFC 5256 4, `thread-list`; without recursion, since threads can be as long as the mailbox. */
export function parseThreads(text: string): readonly ThreadNode[] {
  const root: Node = { uid: undefined, children: [] };
  const open: { readonly above: Node; last: Node | undefined }[] = [{ above: root, last: root }];
  for (const [token] of text.matchAll(/[()]|\d+/g)) {
    const list = open.at(-1);
    if (!list) return [];
    if (token === ")") open.pop();
    else {
      const isMessage = token !== "(";
      if (isMessage || !list.last) {
        const node: Node = { uid: isMessage ? parseUid(token) : undefined, children: [] };
        (list.last ?? list.above).children.push(node);
        list.last = node;
      }
      if (!isMessage) open.push({ above: list.last, last: undefined });
    }
  }
  return root.children;
}
