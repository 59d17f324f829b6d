/**
 * The comparison of a mailbox in which a message is that is here, and that the legacy server cannot give any more: it
 * takes the look at all others with it. They are looked at in halves until it is found, and it is told as a difference.
 */
import type { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { mayBeItsFault } from "./unreadable.ts";
import type { Difference, MailboxVerdict } from "./verify.ts";

/** Looks at those that it is told to; `onFailure` is told of what the work itself has ended with. */
export type Look<Options> = (
  record: MailboxRecord,
  options: Options,
  onlyOf: ((uid: Uid) => boolean) | undefined,
  onFailure: (error: unknown) => void,
) => Promise<MailboxVerdict>;

interface Looking {
  readonly store: AccountStore;
  readonly signal: AbortSignal;
}

/** So many failures with nothing compared in between are no message's fault. */
const maxFailures = 20;

export async function verifyAround<Options extends Looking>(
  record: MailboxRecord,
  options: Options,
  look: Look<Options>,
  onlyOf?: (uid: Uid) => boolean,
): Promise<MailboxVerdict> {
  let failures = 0;
  /** A verdict, or what the look was ended by: one of the messages, perhaps. */
  const attempt = async (isAsked = onlyOf): Promise<MailboxVerdict | MailError> => {
    let failure: unknown;
    try {
      const verdict = await look(record, options, isAsked, (error) => {
        failure = error;
      });
      failures = 0;
      return verdict;
    } catch (error) {
      const isFault = error === failure && mayBeItsFault(error) && !options.signal.aborted;
      if (!isFault || ++failures >= maxFailures) throw error;
      return error;
    }
  };
  /** Those above `above` and up to `upTo`, among which are `here`. */
  const within = async (here: readonly Uid[], above: number, upTo: number): Promise<MailboxVerdict> => {
    const isWithin = (uid: Uid): boolean => uid > above && uid <= upTo && (onlyOf?.(uid) ?? true);
    const verdict = await attempt(isWithin);
    if ("differences" in verdict) return verdict;
    const [first] = here;
    if (first === undefined) throw verdict;
    if (here.length === 1) {
      const others = await attempt((uid) => uid !== first && isWithin(uid));
      if (!("differences" in others)) throw others;
      return { ...others, differences: [...others.differences, unreadable(first, verdict)] };
    }
    const middle = here.length >>> 1;
    const pivot = here[middle - 1] ?? first;
    return joined(
      await within(here.slice(0, middle), above, pivot),
      await within(here.slice(middle), pivot, upTo),
    );
  };

  const verdict = await attempt();
  if ("differences" in verdict) return verdict;
  const messages = await options.store.loadMessages(record);
  const here = messages.map(({ uid }) => uid).filter((uid) => onlyOf?.(uid) ?? true);
  return within(here, 0, Number.POSITIVE_INFINITY);
}

function unreadable(uid: Uid, { message }: MailError): Difference {
  return { kind: "bytes", uid, detail: `the legacy server cannot give it: ${message}` };
}

/** Of two parts of a mailbox. */
function joined(one: MailboxVerdict, other: MailboxVerdict): MailboxVerdict {
  const isTold = ({ kind, detail }: Difference): boolean =>
    one.differences.some((told) => told.kind === kind && told.detail === detail);
  return {
    ...one,
    bytesCompared: one.bytesCompared + other.bytesCompared,
    rewritten: one.rewritten + other.rewritten,
    undated: one.undated + other.undated,
    // What is true of the mailbox is told by each part of it.
    differences: [
      ...one.differences,
      ...other.differences.filter((difference) => "uid" in difference || !isTold(difference)),
    ],
  };
}
