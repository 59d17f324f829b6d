/**
 * The answer to FETCH for one message (RFC 3501 7.4.2). Nothing is written before everything but the
 * bytes of its sections is at hand, so that a message which is gone leaves no half a line.
 */
import type { OpenMailbox } from "../account/account.ts";
import { formatEnvelope } from "../mail/envelope.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { withoutNuls } from "../mail/without-nuls.ts";
import type { Output } from "../wire/output.ts";
import type { FetchItem } from "./fetch-items.ts";
import { formatPlain } from "./fetch-plain.ts";
import {
  isTopHeader,
  lengthOf,
  type SectionBytes,
  sectionOfContent,
  sectionOfHeader,
} from "./fetch-section.ts";
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
      if (answers.length > 0) answers.push(" ");
      answers.push(...answer);
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
): Promise<readonly Answer[] | undefined> {
  const { mailbox } = state;
  switch (item.kind) {
    case "envelope":
      return named("ENVELOPE ", envelopeOf(mailbox, uid));
    case "body":
      return named("BODY ", mailbox.structure(uid, false));
    case "body-structure":
      return named("BODYSTRUCTURE ", mailbox.structure(uid, true));
    case "section": {
      if (needsContent(item)) {
        if (content?.isNil) return named(`${item.label} `, "NIL");
        const { trees } = state;
        const section = content && (await sectionOfContent(item, uid, content, { trees, output }));
        return named(`${item.label} `, section);
      }
      const header = mailbox.header(uid);
      return named(`${item.label} `, header && sectionOfHeader(item, header));
    }
    default: {
      const answer = formatPlain(state, item.kind, uid);
      return answer === undefined ? undefined : [answer];
    }
  }
}

function named(name: string, answer: Answer | undefined): readonly Answer[] | undefined {
  return answer === undefined ? undefined : [name, answer];
}

function envelopeOf(mailbox: OpenMailbox, uid: Uid): Buffer | undefined {
  const header = mailbox.header(uid);
  return header && formatEnvelope(header);
}

/** Piece by piece as the bytes arrive and the client reads. */
async function writeLiteral(
  section: SectionBytes,
  content: MessageContent | undefined,
  output: Output,
): Promise<void> {
  output.beginLiteral(lengthOf(section));
  if (section.kind === "bytes") {
    output.write(withoutNuls(section.bytes));
    return;
  }
  for (let start = section.start; content && start < section.end; start += pieceBytes) {
    output.write(withoutNuls(await content.read(start, Math.min(start + pieceBytes, section.end))));
    await output.flushed();
  }
}
