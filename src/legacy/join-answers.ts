/**
 * One FETCH may be answered in several responses (RFC 3501 7.4.2): flags apart, size apart. What is told of a message is
 * put together; the last word counts.
 */
import type { Uid } from "../mail/ids.ts";
import type { FetchAnswer } from "./fetch-answer.ts";

type Metadata = Pick<FetchAnswer, "flags" | "internalDate" | "sizeBytes" | "modSeq" | "emailId">;

/** For one command: gives all that it was told of a message so far. */
export function joinAnswers(): (uid: Uid, part: Metadata) => Metadata {
  /** Only of messages of which not all was told at once. */
  const parts = new Map<Uid, Metadata>();
  return (uid, part) => {
    const before = parts.get(uid);
    const isAll = part.flags && part.internalDate && part.sizeBytes !== undefined;
    if (!before && isAll) return part;
    const all: Metadata = {
      flags: part.flags ?? before?.flags,
      internalDate: part.internalDate ?? before?.internalDate,
      sizeBytes: part.sizeBytes ?? before?.sizeBytes,
      modSeq: part.modSeq ?? before?.modSeq,
      emailId: part.emailId ?? before?.emailId,
    };
    parts.set(uid, all);
    return all;
  };
}
