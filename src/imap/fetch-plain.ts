/**
 * Items of FETCH whose answer is text that is at hand (RFC 3501 7.4.2): what is kept of every message. Clients ask for
 * them of whole mailboxes, so where nothing else is asked for, many messages are answered in one go, without waiting.
 */
import { unreachable } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import { formatInternalDate } from "../mail/internal-date.ts";
import { formatModSeq } from "./condstore.ts";
import type { FetchItem } from "./fetch-items.ts";
import { formatFlags } from "./notices.ts";
import type { Selected } from "./state.ts";

export type PlainKind = "uid" | "flags" | "internal-date" | "size" | "modseq";

const plainNames: Readonly<Record<PlainKind, string>> = {
  uid: "UID",
  flags: "FLAGS",
  "internal-date": "INTERNALDATE",
  size: "RFC822.SIZE",
  modseq: "MODSEQ",
};

export function isPlain(kind: FetchItem["kind"]): kind is PlainKind {
  return Object.hasOwn(plainNames, kind);
}

/** undefined where any of `items` is of another kind. */
export function plainKinds(items: readonly FetchItem[]): readonly PlainKind[] | undefined {
  const kinds = items.map(({ kind }) => kind).filter(isPlain);
  return kinds.length === items.length ? kinds : undefined;
}

/** `FLAGS (\Seen)`; undefined where the message is not there, or this is not known of it. */
export function formatPlain(state: Selected, kind: PlainKind, uid: Uid): string | undefined {
  const answer = answerOf(state, kind, uid);
  return answer === undefined ? undefined : `${plainNames[kind]} ${answer}`;
}

function answerOf(state: Selected, kind: PlainKind, uid: Uid): string | undefined {
  switch (kind) {
    case "uid":
      return String(uid);
    case "flags":
      return formatFlags(state, uid);
    case "internal-date": {
      const meta = state.mailbox.meta(uid);
      return meta && `"${formatInternalDate(meta.internalDate)}"`;
    }
    case "size":
      return state.mailbox.meta(uid)?.sizeBytes.toString();
    case "modseq":
      return formatModSeq(state, uid);
    default:
      return unreachable(kind);
  }
}

export interface PlainAnswers {
  readonly text: string;
  /** The first message that could not be answered, though it was not expunged: nothing behind it is answered. */
  readonly missing: Uid | undefined;
}

/** Answers for `uids`; `leavesOut` tells to go on behind a message that is not known. */
export function plainAnswers(
  state: Selected,
  kinds: readonly PlainKind[],
  uids: readonly Uid[],
  leavesOut: boolean,
): PlainAnswers {
  const { view } = state;
  let text = "";
  /** Sequence number of the one before: they follow each other nearly always. */
  let last = 0;
  for (const uid of uids) {
    const sequence = view.uids[last] === uid ? last + 1 : view.sequenceOf(uid);
    if (sequence === undefined || (view.hasExpunged && view.isExpunged(uid))) continue;
    last = sequence;
    const answers = formatAll(state, kinds, uid);
    if (answers !== undefined) text += `* ${sequence} FETCH (${answers})\r\n`;
    else if (!leavesOut) return { text, missing: uid };
  }
  return { text, missing: undefined };
}

function formatAll(state: Selected, kinds: readonly PlainKind[], uid: Uid): string | undefined {
  let answers = "";
  for (const kind of kinds) {
    const answer = formatPlain(state, kind, uid);
    if (answer === undefined) return undefined;
    answers += answers === "" ? answer : ` ${answer}`;
  }
  return answers;
}
