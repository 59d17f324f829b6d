/** Threads (RFC 5256 3): what is known of each message, and the tree that comes of it. */

import { baseSubject } from "./base-subject.ts";
import { firstValues } from "./first-values.ts";
import type { Uid } from "./ids.ts";
import type { MessageMeta } from "./message.ts";
import { messageIds } from "./message-id.ts";
import { sentDate } from "./sent-date.ts";
import { collated } from "./sort-messages.ts";

export type ThreadAlgorithm = "ORDEREDSUBJECT" | "REFERENCES" | "REFS";

export interface Threadable {
  readonly uid: Uid;
  /** Collated. */
  readonly subject: string;
  readonly isReply: boolean;
  /** Seconds since 1970 of Date:, or of INTERNALDATE where it names no time. */
  readonly sentTime: number;
  readonly messageId: string | undefined;
  /** Oldest first; the last one is the parent. */
  readonly references: readonly string[];
}

/** A message, or a place that one of an unknown UID would have. */
export interface ThreadNode {
  readonly uid: Uid | undefined;
  readonly children: readonly ThreadNode[];
}

const fieldNames = new Set(["date", "in-reply-to", "message-id", "references", "subject"]);

export function threadable(meta: MessageMeta, header: Buffer): Threadable {
  const values = firstValues(header, fieldNames);
  const { text, isReply } = baseSubject(values.get("subject") ?? "");
  const references = messageIds(values.get("references") ?? "");
  const answered = messageIds(values.get("in-reply-to") ?? "").slice(0, 1);
  return {
    uid: meta.uid,
    subject: collated(text),
    isReply,
    sentTime: sentDate(values.get("date") ?? "")?.epochSeconds ?? meta.internalDate.epochSeconds,
    messageId: messageIds(values.get("message-id") ?? "")[0],
    references: references.length > 0 ? references : answered,
  };
}

/** Each takes some hundred bytes while threads are made: of 64 MB of hostile mail, gigabytes. */
const maxReferences = 1_000_000;

/**
 * Passes on messages for one THREAD. Once they have very many references, as only hostile mail does, of each
 * further one's just the last, its parent, is kept.
 */
export function referenceBudget(limit: number = maxReferences): (message: Threadable) => Threadable {
  let left = limit;
  return (message) => {
    const { references } = message;
    if (references.length <= left) {
      left -= references.length;
      return message;
    }
    // A part of a string would hold the whole.
    const parent = references.slice(-1).map((id) => Buffer.from(id, "latin1").toString("latin1"));
    return { ...message, references: parent };
  };
}

/** As RFC 5256 4 writes it, in pieces; `nameOf` gives what stands for a message. */
export function* threadText(threads: readonly ThreadNode[], nameOf: (uid: Uid) => number): Generator<string> {
  const left: (ThreadNode | ")")[] = [...threads].reverse();
  for (let next = left.pop(); next; next = left.pop()) {
    if (next === ")") {
      yield ")";
      continue;
    }
    let node = next;
    const names: number[] = [];
    for (;;) {
      if (node.uid !== undefined) names.push(nameOf(node.uid));
      const [only] = node.children;
      if (node.children.length !== 1 || !only) break;
      node = only;
    }
    yield `(${names.join(" ")}${names.length > 0 && node.children.length > 0 ? " " : ""}`;
    left.push(")");
    for (let at = node.children.length - 1; at >= 0; at--) left.push(node.children[at] ?? ")");
  }
}
