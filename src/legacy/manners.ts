/** How an old server has behaved in the last minute, for people: what it closes, what it refuses, how slow it is. */
import type { ImapConnection } from "./imap-connection.ts";
import { ServerFault } from "./server-fault.ts";

export interface Manners {
  /** It is in use from now on. */
  watch(connection: ImapConnection): void;
  /** undefined while there is nothing to tell. */
  told(): string | undefined;
}

const minuteMs = 60_000;
/** A client may ask for what it may not have; that much is no news. */
const manyRefusals = { NO: 10, BAD: 3 } as const;
const slowMs = 50;
/** Of answers that are long enough to tell; what came for others meanwhile is counted, too. */
const slowBytesPerSecond = 200_000;
const longBytes = 4_000;
const tellingBytes = 50_000;
const fewestAnswers = 10;
const mostKept = 200;

interface Answer {
  readonly at: number;
  readonly ms: number;
  readonly bytes: number;
}

interface Happened {
  readonly at: number;
  readonly text: string;
}

export function createManners(): Manners {
  const closings: Happened[] = [];
  const refusals: Record<keyof typeof manyRefusals, Happened[]> = { NO: [], BAD: [] };
  const answers: Answer[] = [];
  /** Kept apart: many short ones would push them out. */
  const longAnswers: Answer[] = [];
  const note = <T extends { readonly at: number }>(list: T[], one: T): void => {
    list.push(one);
    if (list.length > mostKept) list.shift();
  };
  const lately = <T extends { readonly at: number }>(list: readonly T[]): readonly T[] =>
    list.filter(({ at }) => at > performance.now() - minuteMs);

  const toldClosings = (): string | undefined => {
    const recent = lately(closings);
    const last = recent.at(-1);
    return last && `closes connections (${recent.length} in the last minute: ${last.text})`;
  };
  const toldRefusals = (status: keyof typeof manyRefusals): string | undefined => {
    const recent = lately(refusals[status]);
    const last = recent.at(-1);
    if (!last || recent.length < manyRefusals[status]) return undefined;
    return `refuses commands (${recent.length} in the last minute: ${status} ${last.text})`;
  };
  const toldSlowness = (): string | undefined => {
    const recent = lately(answers);
    const ms = medianOf(recent.map((one) => one.ms));
    if (recent.length < fewestAnswers || ms < slowMs) return undefined;
    return `answers slowly (${Math.round(ms)} ms)`;
  };
  const toldNarrowness = (): string | undefined => {
    const long = lately(longAnswers);
    const sum = (of: (one: (typeof long)[number]) => number): number =>
      long.reduce((total, one) => total + of(one), 0);
    const [bytes, seconds] = [sum((one) => one.bytes), sum(({ ms }) => ms / 1_000)];
    const rate = bytes / Math.max(seconds, 0.001);
    if (bytes < tellingBytes || rate > slowBytesPerSecond) return undefined;
    return `sends slowly (${Math.round(rate / 1_000)} KB/s)`;
  };
  return {
    watch(connection) {
      connection.onAnswered = ({ status, text }, ms, bytes) => {
        const at = performance.now();
        note(answers, { at, ms, bytes });
        if (bytes >= longBytes) note(longAnswers, { at, ms, bytes });
        if (status !== "OK") note(refusals[status], { at, text });
      };
      void connection.closed.then((reason) => {
        if (reason instanceof ServerFault) note(closings, { at: performance.now(), text: reason.message });
      });
    },
    told() {
      const all = [toldClosings(), toldRefusals("BAD"), toldRefusals("NO"), toldSlowness(), toldNarrowness()];
      const told = all.filter((text) => text !== undefined);
      return told.length === 0 ? undefined : `the old server ${told.join(", ")}`;
    },
  };
}

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
