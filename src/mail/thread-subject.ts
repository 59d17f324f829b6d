/** THREAD=ORDEREDSUBJECT (RFC 5256 3): the "poor man's threading". */
import { type Pause, sortInSteps } from "./sort-in-steps.ts";
import type { Threadable, ThreadNode } from "./thread.ts";

/** Messages of one subject are the children of the oldest of them; threads go by that one's date. */
export async function threadBySubject(
  messages: readonly Threadable[],
  pause: Pause,
): Promise<readonly ThreadNode[]> {
  const threads = new Map<string, Threadable[]>();
  for (const message of await sortInSteps(messages, bySentTime, pause)) {
    await pause();
    const thread = threads.get(message.subject);
    if (thread) thread.push(message);
    else threads.set(message.subject, [message]);
  }
  return [...threads.values()].map(([first, ...others]) => ({
    uid: first?.uid,
    children: others.map(({ uid }) => ({ uid, children: [] })),
  }));
}

export function bySentTime(
  a: Pick<Threadable, "sentTime" | "uid">,
  b: Pick<Threadable, "sentTime" | "uid">,
): number {
  return a.sentTime - b.sentTime || a.uid - b.uid;
}
