/**
 * THREAD=REFERENCES (RFC 5256 3, steps 4 to 6) and THREAD=REFS (draft-ietf-morg-inthread): threads by
 * references; the first also puts threads of one subject together.
 */
import type { Threadable, ThreadNode } from "./thread.ts";
import { detach, type Link, linkMessages, type Pause, withDescendants } from "./thread-links.ts";
import { bySentTime } from "./thread-subject.ts";

export async function threadByReferences(
  messages: readonly Threadable[],
  pause: Pause,
): Promise<readonly ThreadNode[]> {
  const roots = mergedBySubject(sortedRoots(await linkMessages(messages, pause)));
  return toNodes(sortedRoots(roots), pause);
}

/** Threads go by their latest message's arrival, as Dovecot has it. */
export async function threadByRefs(
  messages: readonly Threadable[],
  pause: Pause,
): Promise<readonly ThreadNode[]> {
  const roots = (await linkMessages(messages, pause)).map((root) => ({ root, latest: latestOf(root) }));
  roots.sort((a, b) => a.latest - b.latest || firstOf(a.root).uid - firstOf(b.root).uid);
  return toNodes(
    roots.map(({ root }) => root),
    pause,
  );
}

function latestOf(root: Link): number {
  let latest = 0;
  for (const { message } of withDescendants(root)) latest = Math.max(latest, message?.sentTime ?? 0);
  return latest;
}

function sortedRoots(roots: readonly Link[]): readonly Link[] {
  return [...roots].sort((a, b) => bySentTime(firstOf(a), firstOf(b)));
}

/** The message itself, or the earliest child of a place. */
function firstOf(link: Link): Pick<Threadable, "sentTime" | "uid" | "subject" | "isReply"> {
  if (link.message) return link.message;
  const messages = [...link.children]
    .map(({ message }) => message)
    .filter((message) => message !== undefined);
  return messages.sort(bySentTime)[0] ?? { sentTime: 0, uid: 0 as never, subject: "", isReply: false };
}

/** Step 5. `roots` are sorted. */
function mergedBySubject(roots: readonly Link[]): readonly Link[] {
  const chosen = new Map<string, Link>();
  for (const root of roots) {
    const { subject, isReply } = firstOf(root);
    if (subject === "") continue;
    const known = chosen.get(subject);
    const isBetter =
      !known ||
      (known.message !== undefined && !root.message) ||
      (known.message !== undefined && root.message !== undefined && known.message.isReply && !isReply);
    if (isBetter) chosen.set(subject, root);
  }
  const merged = new Set(roots);
  for (const root of roots) {
    const { subject } = firstOf(root);
    const target = chosen.get(subject);
    if (!target || target === root) continue;
    merged.delete(root);
    if (!target.message && !root.message) for (const child of [...root.children]) adopt(child, target);
    else if (!target.message || (root.message?.isReply && !target.message.isReply)) adopt(root, target);
    else {
      const place: Link = { message: undefined, parent: undefined, children: new Set() };
      merged.delete(target);
      merged.add(place);
      adopt(target, place);
      adopt(root, place);
      chosen.set(subject, place);
    }
  }
  return [...merged];
}

function adopt(child: Link, parent: Link): void {
  detach(child);
  child.parent = parent;
  parent.children.add(child);
}

/** Step 6: siblings go by date. */
async function toNodes(roots: readonly Link[], pause: Pause): Promise<readonly ThreadNode[]> {
  const nodes = new Map<Link, ThreadNode>();
  for (const root of roots) {
    await pause();
    for (const link of [...withDescendants(root)].reverse()) {
      const children = [...link.children].sort((a, b) => bySentTime(firstOf(a), firstOf(b)));
      nodes.set(link, {
        uid: link.message?.uid,
        children: children.map((child) => nodes.get(child)).filter((node) => node !== undefined),
      });
    }
  }
  return roots.map((root) => nodes.get(root)).filter((node) => node !== undefined);
}
