/**
 * BODY and TEXT of SEARCH: text parts decoded from transfer encoding and charset, piece by piece, so
 * that a large message is neither held whole nor keeps others waiting.
 */
import { setImmediate as othersFirst } from "node:timers/promises";
import { createTextDecoder } from "./charset.ts";
import { headerEnd, headerFields } from "./header.ts";
import { decodeHeaderText } from "./header-text.ts";
import type { MessageContent } from "./message.ts";
import type { Extent, MimePart } from "./mime-part.ts";
import { createMimeScanner } from "./mime-scanner.ts";
import { readSearchFields } from "./search-fields.ts";
import { createTextFinder, type TextFinder } from "./search-fold.ts";
import { createTransferDecoder } from "./transfer-encoding.ts";

const pieceBytes = 64 << 10;
/** Dovecot stops there too. */
const maxHeaderBytes = 10 << 20;

/** `folded` is the value, folded. TEXT is BODY and all headers, those of parts included. */
export async function textMatches(
  content: MessageContent,
  folded: string,
  where: "body" | "text",
): Promise<boolean> {
  if (folded === "") return true;
  const tree = await scan(content);
  for (const part of partsOf(tree)) {
    if (where === "text" && (await headerHas(content, part.header, folded))) return true;
    if (part.kind === "leaf" && (await bodyHas(content, part, folded))) return true;
  }
  return false;
}

/** The header block of a message, as far as one is looked at. */
export async function headerOf(content: MessageContent): Promise<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for await (const bytes of pieces(content, 0, Math.min(content.sizeBytes, maxHeaderBytes))) {
    held = Buffer.concat([held, bytes]);
    const end = headerEnd(held);
    if (end !== undefined) return held.subarray(0, end);
  }
  return held;
}

async function scan(content: MessageContent): Promise<MimePart> {
  const scanner = createMimeScanner();
  for await (const bytes of pieces(content, 0, content.sizeBytes)) scanner.push(bytes);
  return scanner.finish();
}

function* partsOf(part: MimePart): Generator<MimePart> {
  yield part;
  if (part.kind === "multipart") for (const child of part.parts) yield* partsOf(child);
  if (part.kind === "message") yield* partsOf(part.message);
}

async function headerBlock(content: MessageContent, header: Extent): Promise<Buffer> {
  const collected: Buffer[] = [];
  const end = Math.min(header.end, header.start + maxHeaderBytes);
  for await (const bytes of pieces(content, header.start, end)) collected.push(bytes);
  return Buffer.concat(collected);
}

async function headerHas(content: MessageContent, header: Extent, folded: string): Promise<boolean> {
  const block = await headerBlock(content, header);
  const finder = createTextFinder(folded);
  for (const field of headerFields(block)) {
    const line = decodeHeaderText(block.subarray(field.start, field.end));
    if (finder.push(`${line.trimEnd()}\r\n`)) return true;
  }
  return false;
}

async function bodyHas(content: MessageContent, part: MimePart, folded: string): Promise<boolean> {
  const { isText, charset, encoding } = readSearchFields(await headerBlock(content, part.header));
  const transfer = isText ? createTransferDecoder(encoding) : undefined;
  if (!transfer) return false;
  const text = createTextDecoder(charset ?? "utf-8") ?? createTextDecoder("utf-8");
  if (!text) return false;
  const finder: TextFinder = createTextFinder(folded);
  for await (const bytes of pieces(content, part.body.start, part.body.end)) {
    if (finder.push(text.write(transfer.write(bytes)))) return true;
  }
  return finder.push(text.write(transfer.end()) + text.end());
}

/** The bytes from..to-1; others get their turn between pieces. */
async function* pieces(content: MessageContent, from: number, to: number): AsyncGenerator<Buffer> {
  for (let start = from; start < to; start += pieceBytes) {
    if (start > from) await othersFirst();
    yield await content.read(start, Math.min(start + pieceBytes, to));
  }
}
