/**
 * A maildrop is asked for at the old POP3 server before a client is served; where that keeps silent for longer than
 * clients wait, what is here is the answer, if all of it is, and the session there is given up: the next look asks again.
 */
import { anyOf } from "../waiting.ts";

export const defaultPatienceMs = 5_000;

interface Following {
  readonly progressAt: number;
}

export interface InTime<T> {
  /** Its signal is aborted when it has taken too long; `follow` is told who is waited for. */
  readonly ask: (signal: AbortSignal, follow: (session: Following) => void) => Promise<T>;
  /** undefined where not all is here: then the old server is waited for. */
  readonly fromHere: () => Promise<T | undefined>;
  readonly patienceMs: number;
}

export async function answerInTime<T>(
  { ask, fromHere, patienceMs }: InTime<T>,
  signal: AbortSignal,
): Promise<T> {
  const late = new AbortController();
  let followed: Following = { progressAt: performance.now() };
  let answer: T | undefined;
  const giveUp = async (): Promise<void> => {
    answer = await fromHere().catch(() => undefined);
    if (answer !== undefined) late.abort(new Error("the old server takes too long"));
  };
  const look = (): void => {
    const leftMs = followed.progressAt + patienceMs - performance.now();
    if (leftMs > 0) timer = setTimeout(look, leftMs);
    else void giveUp();
  };
  let timer = setTimeout(look, patienceMs);
  const follow = (session: Following): void => {
    followed = session;
  };
  try {
    return await ask(anyOf(signal, late.signal), follow);
  } catch (error) {
    if (signal.aborted || !late.signal.aborted || answer === undefined) throw error;
    return answer;
  } finally {
    clearTimeout(timer);
  }
}
