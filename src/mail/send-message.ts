import type { MessageContent } from "./message.ts";
import { piecesOf } from "./message-content.ts";

/** Takes the next bytes; a promise holds the sender back. */
export type TakeBytes = (bytes: Buffer) => undefined | Promise<void>;

/** A message piece by piece: all of it, or its header, the blank line and so many lines of its body (RFC 1939 7). */
export async function sendMessage(
  content: MessageContent,
  lines: number | undefined,
  take: TakeBytes,
): Promise<void> {
  const part = lines === undefined ? (bytes: Buffer) => bytes : createTop(lines);
  for await (const bytes of piecesOf(content)) {
    const wanted = part(bytes);
    if (wanted === undefined) return;
    await take(wanted);
  }
}

/** What of the next bytes belongs to it; undefined when no more does. */
export function createTop(lines: number): (bytes: Buffer) => Buffer | undefined {
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
