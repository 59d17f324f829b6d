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

/** A command line of 8,192 bytes has to be enough (RFC 7162 4). */
const maxSetChars = 6_000;

/** From the first to the last where it would be too long: the answer has others, too, then. */
function setWithin(uids: UidSet): string {
  const set = formatNumberSet(uids);
  const [first, last] = [uids[0], uids.at(-1)];
  return set.length <= maxSetChars || !first || !last ? set : `${first.from}:${last.to}`;
}

/** At least of these, in order; undefined where the server cannot. */
export async function uidSort(
  connection: ImapConnection,
  keys: readonly SortKey[],
  uids: UidSet,
): Promise<readonly Uid[] | undefined> {
  const { capabilities } = connection;
  const needsDisplay = keys.some(({ kind }) => kind === "display-from" || kind === "display-to");
  if (!capabilities.has("SORT") || (needsDisplay && !capabilities.has("SORT=DISPLAY"))) return undefined;
  const order = keys.map(({ kind, reverse }) => `${reverse ? "REVERSE " : ""}${sortNames[kind]}`).join(" ");
  const answer = await ask(connection, `UID SORT (${order}) US-ASCII UID ${setWithin(uids)}`, "SORT");
  return answer
    .split(" ")
    .map(parseUid)
    .filter((uid) => uid !== undefined);
}

/** The same by threads. */
export async function uidThread(
  connection: ImapConnection,
  algorithm: ThreadAlgorithm,
  uids: UidSet,
): Promise<readonly ThreadNode[] | undefined> {
  if (!connection.capabilities.has(`THREAD=${algorithm}`)) return undefined;
  const command = `UID THREAD ${algorithm} US-ASCII UID ${setWithin(uids)}`;
  return parseThreads(await ask(connection, command, "THREAD"));
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
