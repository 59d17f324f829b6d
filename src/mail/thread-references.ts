/**
 * THREAD=REFERENCES (RFC 5256 3, steps 4 to 6) and THREAD=REFS (draft-ietf-morg-inthread): threads by
 * references; the first also puts threads of one subject together.
 */
import { type Pause, sortInSteps } from "./sort-in-steps.ts";
import type { Threadable, ThreadNode } from "./thread.ts";
import { detach, type Link, linkMessages, withDescendants } from "./thread-links.ts";
import { bySentTime } from "./thread-subject.ts";

export async function threadByReferences(
  messages: readonly Threadable[],
  pause: Pause,
): Promise<readonly ThreadNode[]> {
  const roots = await mergedBySubject(await inOrder(await linkMessages(messages, pause), pause), pause);
  return toNodes(await inOrder(roots, pause), pause);
}

/** Threads go by their latest message's date, as Dovecot has it. */
export async function threadByRefs(
  messages: readonly Threadable[],
  pause: Pause,
): Promise<readonly ThreadNode[]> {
  const threads: { readonly root: Link; readonly first: First; readonly latest: number }[] = [];
  for (const root of await linkMessages(messages, pause)) {
    await pause();
    threads.push({ root, first: firstOf(root), latest: latestOf(root) });
  }
  const ordered = await sortInSteps(
    threads,
    (a, b) => a.latest - b.latest || a.first.uid - b.first.uid,
    pause,
  );
  return toNodes(
    ordered.map(({ root }) => root),
    pause,
  );
}

function latestOf(root: Link): number {
  let latest = 0;
  for (const { message } of withDescendants(root)) latest = Math.max(latest, message?.sentTime ?? 0);
  return latest;
}

/** By date of the first message of each. */
async function inOrder(links: Iterable<Link>, pause: Pause): Promise<readonly Link[]> {
  const dated: { readonly link: Link; readonly first: First }[] = [];
  for (const link of links) {
    await pause();
    dated.push({ link, first: firstOf(link) });
  }
  const ordered = await sortInSteps(dated, (a, b) => bySentTime(a.first, b.first), pause);
  return ordered.map(({ link }) => link);
}

type First = Pick<Threadable, "sentTime" | "uid" | "subject" | "isReply">;

/** The message itself, or the earliest child of a place. */
function firstOf({ message, children }: Link): First {
  let first = message;
  if (!first)
    for (const child of children)
      if (child.message && (!first || bySentTime(child.message, first) < 0)) first = child.message;
  return first ?? { sentTime: 0, uid: 0 as never, subject: "", isReply: false };
}

/** Step 5. `roots` are sorted. */
async function mergedBySubject(roots: readonly Link[], pause: Pause): Promise<readonly Link[]> {
  const chosen = new Map<string, Link>();
  for (const root of roots) {
    await pause();
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
    await pause();
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
    for (const link of [...withDescendants(root)].reverse()) {
      await pause();
      const children = link.children.size < 2 ? [...link.children] : await inOrder(link.children, pause);
      nodes.set(link, {
        uid: link.message?.uid,
        children: children.map((child) => nodes.get(child)).filter((node) => node !== undefined),
      });
    }
  }
  return roots.map((root) => nodes.get(root)).filter((node) => node !== undefined);
}
