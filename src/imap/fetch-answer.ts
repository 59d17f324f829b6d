/**
 * The answer to FETCH for one message (RFC 3501 7.4.2). Nothing is written before everything but the
 * bytes of its sections is at hand, so that a message which is gone leaves no half a line.
 */
import type { OpenMailbox } from "../account/account.ts";
import { unreachable } from "../errors.ts";
import { formatEnvelope } from "../mail/envelope.ts";
import type { Uid } from "../mail/ids.ts";
import { formatInternalDate } from "../mail/internal-date.ts";
import type { MessageContent } from "../mail/message.ts";
import type { Output } from "../wire/output.ts";
import { formatModSeq } from "./condstore.ts";
import type { FetchItem } from "./fetch-items.ts";
import {
  isTopHeader,
  lengthOf,
  type SectionBytes,
  sectionOfContent,
  sectionOfHeader,
} from "./fetch-section.ts";
import { formatFlags } from "./notices.ts";
import type { Selected } from "./state.ts";

export interface FetchContext {
  readonly state: Selected;
  readonly items: readonly FetchItem[];
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** `RFC822.SIZE 44`, or a label and the section that follows it as a literal. */
type Answer = string | Buffer | SectionBytes;

const pieceBytes = 128 * 1024;

export function needsContent(item: FetchItem): boolean {
  return item.kind === "section" && !isTopHeader(item);
}

/** False where the message, or something of it that was asked for, is not there. */
export async function answerMessage(context: FetchContext, sequence: number, uid: Uid): Promise<boolean> {
  const { state, items, output, signal } = context;
  const content = items.some(needsContent) ? await state.mailbox.content(uid, signal) : undefined;
  try {
    const answers: Answer[] = [];
    for (const item of items) {
      const answer = await answerItem(context, item, uid, content);
      if (answer === undefined) return false;
      answers.push(answers.length === 0 ? "" : " ", nameOf(item), " ", answer);
    }
    output.write(`* ${sequence} FETCH (`);
    for (const answer of answers) {
      if (typeof answer === "string" || Buffer.isBuffer(answer)) output.write(answer);
      else await writeLiteral(answer, content, output);
    }
    output.write(")\r\n");
    await output.flushed();
    return true;
  } finally {
    content?.close();
  }
}

async function answerItem(
  { state, output }: FetchContext,
  item: FetchItem,
  uid: Uid,
  content: MessageContent | undefined,
): Promise<Answer | undefined> {
  if (item.kind !== "section") return answerSimple(state, item.kind, uid);
  if (needsContent(item)) {
    return content && sectionOfContent(item, uid, content, { trees: state.trees, output });
  }
  const header = state.mailbox.header(uid);
  return header && sectionOfHeader(item, header);
}

type SimpleKind = Exclude<FetchItem["kind"], "section">;

function answerSimple(state: Selected, kind: SimpleKind, uid: Uid): string | Buffer | undefined {
  const { mailbox } = state;
  switch (kind) {
    case "uid":
      return String(uid);
    case "flags":
      return formatFlags(state, uid);
    case "internal-date": {
      const meta = mailbox.meta(uid);
      return meta && `"${formatInternalDate(meta.internalDate)}"`;
    }
    case "size":
      return mailbox.meta(uid)?.sizeBytes.toString();
    case "modseq":
      return formatModSeq(state, uid);
    case "envelope":
      return envelopeOf(mailbox, uid);
    case "body":
      return mailbox.structure(uid, false);
    case "body-structure":
      return mailbox.structure(uid, true);
    default:
      return unreachable(kind);
  }
}

function envelopeOf(mailbox: OpenMailbox, uid: Uid): Buffer | undefined {
  const header = mailbox.header(uid);
  return header && formatEnvelope(header);
}

const names: Readonly<Record<SimpleKind, string>> = {
  uid: "UID",
  flags: "FLAGS",
  "internal-date": "INTERNALDATE",
  size: "RFC822.SIZE",
  modseq: "MODSEQ",
  envelope: "ENVELOPE",
  body: "BODY",
  "body-structure": "BODYSTRUCTURE",
};

function nameOf(item: FetchItem): string {
  return item.kind === "section" ? item.label : names[item.kind];
}

/** Piece by piece as the bytes arrive and the client reads. */
async function writeLiteral(
  section: SectionBytes,
  content: MessageContent | undefined,
  output: Output,
): Promise<void> {
  output.beginLiteral(lengthOf(section));
  if (section.kind === "bytes") {
    output.write(section.bytes);
    return;
  }
  for (let start = section.start; content && start < section.end; start += pieceBytes) {
    output.write(await content.read(start, Math.min(start + pieceBytes, section.end)));
    await output.flushed();
  }
}
