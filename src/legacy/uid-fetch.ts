/**
 * UID FETCH of a set, in as many commands as the line length asks for, several of them in flight. Only
 * answers about UIDs of the set count; what one command asked for may be answered with anything else in
 * between.
 */
import type { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { UidSet } from "../mail/number-set.ts";
import type { FetchAnswer } from "./fetch-answer.ts";
import { readFlagLines } from "./flag-lines.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectFetched } from "./refusal.ts";
import { type LiteralSink, streamedLiteral } from "./response-reader.ts";
import { ServerFault } from "./server-fault.ts";
import type { BodySink, FlagsOf } from "./source.ts";
import { contains, splitUidSet } from "./uid-set.ts";
import type { Tagged } from "./untagged.ts";

const commandsInFlight = 4;

export interface FetchRequest {
  readonly uids: UidSet;
  /** What stands after the set. */
  readonly items: string;
  /** False when the answer is not what was asked for. */
  readonly onAnswer: (uid: Uid, answer: FetchAnswer) => boolean | Promise<void>;
  /** Gets answers with UID, FLAGS and perhaps MODSEQ alone, but for those that come in an odd form: `onAnswer` has them. */
  readonly onFlags?: (change: FlagsOf) => void;
  readonly onContent?: (uid: Uid, sizeBytes: number) => LiteralSink | undefined;
}

export async function uidFetch(connection: ImapConnection, request: FetchRequest): Promise<void> {
  const running: Promise<Tagged>[] = [];
  try {
    for (const { wire, ranges } of splitUidSet(request.uids)) {
      if (running.length >= commandsInFlight) expectFetched((await running.shift()) as Tagged);
      running.push(runPiece(connection, request, wire, ranges));
    }
    while (running.length > 0) expectFetched((await running.shift()) as Tagged);
  } finally {
    await Promise.allSettled(running);
  }
}

function runPiece(
  connection: ImapConnection,
  request: FetchRequest,
  wire: string,
  ranges: UidSet,
): Promise<Tagged> {
  const { onFlags } = request;
  const takes = (uid: number): boolean => !connection.isClosed && contains(ranges, uid);
  return connection.run({
    parts: [`UID FETCH ${wire} ${request.items}`],
    ...(onFlags && {
      onLines: (bytes: Buffer) =>
        readFlagLines(bytes, takes, (uid, flags, modSeq) => onFlags({ uid, flags, modSeq })),
    }),
    onUntagged(untagged) {
      if (untagged.kind !== "fetch") return false;
      const { uid, isWhole, content, header } = untagged.answer;
      // Mailutils announces a message that it does not find any more, and sends nothing; others count characters.
      const hasText = content !== undefined || header !== undefined;
      if (!isWhole && (hasText || connection.quirks.frozenSessions)) throw brokenAnswer();
      return uid !== undefined && contains(ranges, uid) && request.onAnswer(uid, untagged.answer);
    },
    ...(request.onContent && {
      onContent: (uid: number, sizeBytes: number) =>
        contains(ranges, uid) ? request.onContent?.(uid as Uid, sizeBytes) : undefined,
    }),
  });
}

/**
 * Whole messages into `sink`. Bytes that are a literal behind their UID are streamed; a quoted string,
 * or a literal ahead of its UID, was gathered by the reader. NIL is a message that is gone, or
 * one that the server cannot read.
 */
export function contentsRequest(uids: UidSet, sink: BodySink, onNil: (uid: Uid) => void): FetchRequest {
  let streamed: Uid | undefined;
  const delivered = new Set<number>();
  const isNew = (uid: Uid): boolean => {
    if (delivered.has(uid)) return false;
    delivered.add(uid);
    return true;
  };
  return {
    uids,
    items: "(UID BODY.PEEK[])",
    onContent(uid, sizeBytes) {
      if (!isNew(uid)) return undefined;
      sink.begin(uid, sizeBytes);
      streamed = uid;
      return { write: sink.write, end: () => undefined };
    },
    onAnswer(uid, { content }) {
      if (content === undefined) return false;
      if (content === streamedLiteral) {
        if (uid !== streamed) return false;
        // Only now is it known for whole.
        streamed = undefined;
        return sink.end() ?? true;
      }
      if (!isNew(uid)) return true;
      if (content === null) {
        onNil(uid);
        return true;
      }
      return deliver(sink, uid, content);
    },
  };
}

function brokenAnswer(): MailError {
  return new ServerFault("The old server broke the protocol: a message is not as long as it said");
}

function deliver(sink: BodySink, uid: Uid, content: Buffer): true | Promise<void> {
  sink.begin(uid, content.length);
  const written = content.length > 0 ? sink.write(content) : undefined;
  const ended = written ? written.then(() => sink.end()) : sink.end();
  return ended ?? true;
}
