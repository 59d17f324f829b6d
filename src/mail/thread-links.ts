/**
 * Which message answers which (RFC 5256 3, THREAD=REFERENCES, steps 1 to 3): a tree of messages and of
 * those that are only referred to.
 */
import type { Pause } from "./sort-in-steps.ts";
import type { Threadable } from "./thread.ts";

export interface Link {
  /** undefined for a message that is only referred to. */
  message: Threadable | undefined;
  parent: Link | undefined;
  readonly children: Set<Link>;
}

/** The roots, without places that are needed by nobody. */
export async function linkMessages(messages: readonly Threadable[], pause: Pause): Promise<readonly Link[]> {
  const links = new Map<string, Link>();
  const all: Link[] = [];
  const make = (message: Threadable | undefined): Link => {
    const link: Link = { message, parent: undefined, children: new Set() };
    all.push(link);
    return link;
  };
  const named = (id: string): Link => {
    const known = links.get(id);
    if (known) return known;
    const link = make(undefined);
    links.set(id, link);
    return link;
  };
  const linkOf = (message: Threadable): Link => {
    const { messageId } = message;
    const known = messageId === undefined ? undefined : named(messageId);
    // The second message with an ID that should be unique has none.
    if (!known || known.message) return make(message);
    known.message = message;
    return known;
  };
  for (const message of messages) {
    await pause();
    const link = linkOf(message);
    let above: Link | undefined;
    for (const id of message.references) {
      await pause();
      const next = named(id);
      if (above && next.parent === undefined) attach(next, above);
      above = next;
    }
    // What a message says of its own parent counts more than what others made of it.
    detach(link);
    if (above) attach(link, above);
  }
  const roots: Link[] = [];
  for (const root of all.filter(({ parent }) => parent === undefined)) {
    await pause();
    roots.push(...withoutPlaces(root));
  }
  return roots;
}

/** Not below itself; what has no children is above nobody, and need not be looked for in a long chain. */
function attach(link: Link, parent: Link): void {
  if (link === parent) return;
  if (link.children.size > 0)
    for (let above = parent.parent; above; above = above.parent) if (above === link) return;
  link.parent = parent;
  parent.children.add(link);
}

export function detach(link: Link): void {
  link.parent?.children.delete(link);
  link.parent = undefined;
}

/** Step 3: a place keeps its children together only as a root, and only where there are several. */
function withoutPlaces(root: Link): readonly Link[] {
  prune(root);
  if (root.message || root.children.size > 1) return [root];
  const children = [...root.children];
  for (const child of children) child.parent = undefined;
  return children;
}

/** From the root down. Without recursion: a hostile chain can be as long as the mailbox. */
export function withDescendants(root: Link): readonly Link[] {
  const order: Link[] = [root];
  for (let at = 0; at < order.length; at++) for (const child of order[at]?.children ?? []) order.push(child);
  return order;
}

/** From the root down: what is above a link stays by then, or has been given to what stays above itself. */
function prune(root: Link): void {
  const stays = (link: Link): boolean => link === root || link.message !== undefined;
  for (const link of withDescendants(root)) {
    const { parent } = link;
    if (!parent) continue;
    link.parent = stays(parent) ? parent : parent.parent;
    if (stays(link)) link.parent?.children.add(link);
    else parent.children.delete(link);
  }
}
