/**
 * One FETCH may be answered in several responses (RFC 3501 7.4.2): flags apart, size apart. What is told of a message is
 * put together, the last word counts, and it is given once: what is told after that is news.
 */
import { type Flags, noFlags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { FetchAnswer } from "./fetch-answer.ts";

type Metadata = Pick<FetchAnswer, "flags" | "internalDate" | "sizeBytes" | "modSeq" | "emailId">;

export interface WholeMetadata extends Omit<Metadata, "flags" | "internalDate" | "sizeBytes"> {
  readonly flags: Flags;
  readonly internalDate: InternalDate;
  readonly sizeBytes: number;
}

export interface JoinedAnswers {
  /** All that was told of the message, as soon as that is all that was asked for. */
  take(uid: Uid, part: Metadata): WholeMetadata | undefined;
  /** The command is answered: those of which no flags were told have none. */
  rest(): readonly (readonly [Uid, WholeMetadata])[];
}

/** For one command. */
export function joinAnswers(): JoinedAnswers {
  /** Only of messages of which not all was told at once. */
  const parts = new Map<Uid, Metadata>();
  return {
    take(uid, part) {
      const before = parts.get(uid);
      const all: Metadata = before ? joined(before, part) : part;
      const whole = all.flags && wholeOf(all);
      if (!whole) parts.set(uid, all);
      else if (before) parts.delete(uid);
      return whole;
    },
    rest: () =>
      [...parts].flatMap(([uid, part]) => {
        const whole = wholeOf(part);
        return whole ? [[uid, whole]] : [];
      }),
  };
}

function joined(before: Metadata, part: Metadata): Metadata {
  return {
    flags: part.flags ?? before.flags,
    internalDate: part.internalDate ?? before.internalDate,
    sizeBytes: part.sizeBytes ?? before.sizeBytes,
    modSeq: part.modSeq ?? before.modSeq,
    emailId: part.emailId ?? before.emailId,
  };
}

function wholeOf({
  flags = noFlags,
  internalDate,
  sizeBytes,
  modSeq,
  emailId,
}: Metadata): WholeMetadata | undefined {
  if (internalDate === undefined || sizeBytes === undefined) return undefined;
  return { flags, internalDate, sizeBytes, modSeq, emailId };
}
