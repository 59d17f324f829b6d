/** Threads of what a search has found: made here, or by the legacy server while headers are not here. */
import { unreachable } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import {
  referenceBudget,
  type ThreadAlgorithm,
  type Threadable,
  type ThreadNode,
  threadable,
} from "../mail/thread.ts";
import { threadByReferences, threadByRefs } from "../mail/thread-references.ts";
import { threadBySubject } from "../mail/thread-subject.ts";
import { forEachMessage } from "./search-messages.ts";
import type { SearchContext } from "./search-run.ts";

export async function threadMessages(
  context: SearchContext,
  algorithm: ThreadAlgorithm,
  found: readonly Uid[],
): Promise<readonly ThreadNode[]> {
  const { mailbox } = context.state;
  if (found.length > 0 && !mailbox.complete) {
    const threads = await mailbox.threadRemotely(algorithm, found, context.signal);
    if (threads) return threads;
  }
  const messages: Threadable[] = [];
  const bounded = referenceBudget();
  await forEachMessage(context, found, "header", (uid) => {
    const [meta, header] = [mailbox.meta(uid), mailbox.header(uid)];
    if (meta && header) messages.push(bounded(threadable(meta, header)));
  });
  switch (algorithm) {
    case "ORDEREDSUBJECT":
      return threadBySubject(messages, context.breathe);
    case "REFERENCES":
      return threadByReferences(messages, context.breathe);
    case "REFS":
      return threadByRefs(messages, context.breathe);
    default:
      return unreachable(algorithm);
  }
}
