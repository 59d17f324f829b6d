/** RETR and TOP (RFC 1939 5, 7): a message's bytes as they are, dot-stuffed, as fast as the client reads. */
import type { MaildropMessage } from "../../account/maildrop.ts";
import { MailError } from "../../errors.ts";
import { createDotStuffer } from "../../mail/dot-stuffing.ts";
import type { MessageContent } from "../../mail/message.ts";
import { BadCommand, BrokenAnswer, type Call, type CommandIo, define, ok, type Reply } from "../command.ts";
import type { Transaction } from "../state.ts";
import { named } from "./maildrop.ts";

const pieceBytes = 128 * 1024;

export const retr = define({
  name: "RETR",
  state: "transaction",
  run: async (call) => {
    const [number, message] = named(call.state, call.argument);
    const reply = await send(call, message, `${message.sizeBytes} octets`, wholeMessage);
    call.state.retrieved.add(number);
    return reply;
  },
});

export const top = define({
  name: "TOP",
  state: "transaction",
  run: (call) => {
    const match = /^(\d{1,10}) (\d{1,10})$/.exec(call.argument);
    if (!match?.[1]) throw new BadCommand("Invalid TOP");
    const [, message] = named(call.state, match[1]);
    return send(call, message, "", createTop(Number(match[2])));
  },
});

/** What of the next bytes is sent; undefined when no more is. */
type Part = (bytes: Buffer) => Buffer | undefined;

const wholeMessage: Part = (bytes) => bytes;

async function send(
  { state, signal, output }: Call<Transaction>,
  message: MaildropMessage,
  text: string,
  part: Part,
): Promise<Reply> {
  const content = await state.maildrop.content(message, signal);
  if (!content) throw new MailError("NONEXISTENT", "Message was removed meanwhile");
  try {
    await sendContent(content, text, part, output);
  } finally {
    content.close();
  }
  return { ...ok(""), isWritten: true };
}

async function sendContent(
  content: MessageContent,
  text: string,
  part: Part,
  output: CommandIo["output"],
): Promise<void> {
  // Before `+OK`: a message that cannot be read is refused.
  const first = await content.read(0, Math.min(pieceBytes, content.sizeBytes));
  output.write(`+OK${text === "" ? "" : ` ${text}`}\r\n`);
  try {
    await sendLines(content, first, part, output);
  } catch (error) {
    throw new BrokenAnswer(error);
  }
}

async function sendLines(
  content: MessageContent,
  first: Buffer,
  part: Part,
  output: CommandIo["output"],
): Promise<void> {
  const stuffer = createDotStuffer();
  let bytes = first;
  for (let start = 0; ; ) {
    const wanted = part(bytes);
    if (wanted === undefined) break;
    for (const piece of stuffer.push(wanted)) output.write(piece);
    await output.flushed();
    start += bytes.length;
    if (start >= content.sizeBytes) break;
    bytes = await content.read(start, Math.min(start + pieceBytes, content.sizeBytes));
  }
  output.write(stuffer.end());
}

/** The header, the blank line and so many lines of the body (RFC 1939 7). */
export function createTop(lines: number): Part {
  let left = lines;
  let isBody = false;
  let isBlank = true;
  return (bytes) => {
    if (isBody && left <= 0) return undefined;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte !== 0x0a) {
        if (byte !== 0x0d) isBlank = false;
        continue;
      }
      if (isBody) left--;
      else isBody = isBlank;
      isBlank = true;
      if (isBody && left <= 0) return bytes.subarray(0, at + 1);
    }
    return bytes;
  };
}
