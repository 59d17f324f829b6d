/**
 * Items of FETCH whose answer is text that is at hand (RFC 3501 7.4.2): what is kept of every message. Clients ask for
 * them of whole mailboxes, so where nothing else is asked for, many messages are answered in one go, without waiting.
 */
import { unreachable } from "../errors.ts";
import type { Flags } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import { formatInternalDate } from "../mail/internal-date.ts";
import {
  type AnswerBytes,
  createAnswerBytes,
  putBytes,
  putNumber,
  putText,
  takeBytes,
} from "./answer-bytes.ts";
import { formatModSeq } from "./condstore.ts";
import type { FetchItem } from "./fetch-items.ts";
import { formatList } from "./formatter.ts";
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
      const date = state.mailbox.internalDateOf(uid);
      return date && `"${formatInternalDate(date)}"`;
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
  readonly bytes: Buffer;
  /** The first message that could not be answered, though it was not expunged. */
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
  const answers = createAnswerBytes();
  const items = kinds.map((kind, index) => ({ kind, label: labels[kind][index === 0 ? "first" : "next"] }));
  let missing: Uid | undefined;
  /** Sequence number of the one before: they follow each other nearly always. */
  let last = 0;
  for (const uid of uids) {
    const sequence = view.uids[last] === uid ? last + 1 : view.sequenceOf(uid);
    if (sequence === undefined || (view.hasExpunged && view.isExpunged(uid))) continue;
    last = sequence;
    const { length } = answers;
    if (putAnswer(answers, state, items, sequence, uid)) continue;
    answers.length = length;
    missing ??= uid;
    if (!leavesOut) break;
  }
  return { bytes: takeBytes(answers), missing };
}

interface LabelledKind {
  readonly kind: PlainKind;
  readonly label: Uint8Array;
}

/** False where something of it is not known. */
function putAnswer(
  answers: AnswerBytes,
  state: Selected,
  items: readonly LabelledKind[],
  sequence: number,
  uid: Uid,
): boolean {
  putBytes(answers, answerStart);
  putNumber(answers, sequence);
  putBytes(answers, listStart);
  for (const { kind, label } of items) {
    putBytes(answers, label);
    if (!putPlain(answers, state, kind, uid)) return false;
  }
  putBytes(answers, listEnd);
  return true;
}

/** The same as `answerOf`, without a string for what clients ask for most. */
function putPlain(answers: AnswerBytes, state: Selected, kind: PlainKind, uid: Uid): boolean {
  if (kind === "uid") {
    putNumber(answers, uid);
    return true;
  }
  if (kind === "flags" && !state.mailbox.recent.has(uid)) {
    const flags = state.mailbox.flagsOf(uid);
    if (flags) putBytes(answers, bytesOfFlags(flags));
    return flags !== undefined;
  }
  const answer = answerOf(state, kind, uid);
  if (answer !== undefined) putText(answers, answer);
  return answer !== undefined;
}

/** Messages share a few different lists of flags (see flags.ts). */
const formatted = new WeakMap<Flags, Uint8Array>();

function bytesOfFlags(flags: Flags): Uint8Array {
  const known = formatted.get(flags);
  if (known) return known;
  const bytes = bytesOf(formatList(flags));
  formatted.set(flags, bytes);
  return bytes;
}

function bytesOf(latin1: string): Uint8Array {
  return Uint8Array.from(Buffer.from(latin1, "latin1"));
}

const answerStart = bytesOf("* ");
const listStart = bytesOf(" FETCH (");
const listEnd = bytesOf(")\r\n");
const labelsOf = (name: string): { readonly first: Uint8Array; readonly next: Uint8Array } => ({
  first: bytesOf(`${name} `),
  next: bytesOf(` ${name} `),
});
const labels = {
  uid: labelsOf(plainNames.uid),
  flags: labelsOf(plainNames.flags),
  "internal-date": labelsOf(plainNames["internal-date"]),
  size: labelsOf(plainNames.size),
  modseq: labelsOf(plainNames.modseq),
} as const satisfies Record<PlainKind, unknown>;
