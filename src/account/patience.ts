/**
 * How long sessions of one account wait for the old server where they can be answered from here: so long, and then
 * what is here is the answer, while the question goes on by itself. Who comes behind a question that has kept others
 * waiting so long is not kept by it as well.
 */
import { MailError } from "../errors.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { waitWith } from "../waiting.ts";

export interface Patience {
  /**
   * The outcome of `ask`, which is not given up. Throws UNAVAILABLE when it is not there in time, and at once where the
   * same question has not been answered in time and is still open.
   */
  wait<T>(question: string, ask: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

const defaultPatienceMs = 5_000;
/** By so much for other questions while one is open that has taken too long. */
const shorter = 10;

export function createPatience(patienceMs = defaultPatienceMs): Patience {
  const overdue = new Set<string>();
  const isOver = (): MailError =>
    new MailError("UNAVAILABLE", `The old server has not answered within ${patienceMs / 1_000} seconds`);

  return {
    async wait(question, ask, signal) {
      if (overdue.has(question)) throw isOver();
      const answer = ask();
      const { promise: timeUp, reject } = Promise.withResolvers<never>();
      const giveUp = (): void => {
        overdue.add(question);
        const ended = (): unknown => overdue.delete(question);
        answer.then(ended, ended);
        reject(isOver());
      };
      const timer = setTimeout(giveUp, overdue.size > 0 ? patienceMs / shorter : patienceMs);
      try {
        return await waitWith(Promise.race([answer, timeUp]), signal);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** Who looks at a mailbox has the patience of all who do. */
export function lookAt(name: EncodedMailboxName): string {
  return `look ${name}`;
}
