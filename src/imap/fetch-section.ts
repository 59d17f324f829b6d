/**
 * Where the bytes of a body section are: in the header block, or at offsets of the message, whose part
 * tree is made only for sections that need one. At most a header is held in memory.
 */

import { unreachable } from "../errors.ts";
import { headerEnd, selectHeaderFields, selectPartFields } from "../mail/header.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { locateSection } from "../mail/section.ts";
import type { Output } from "../wire/output.ts";
import type { SectionItem } from "./fetch-items.ts";
import type { PartTrees } from "./part-trees.ts";

/** Bytes that are at hand, or a range of the message's content. */
export type SectionBytes =
  | { readonly kind: "bytes"; readonly bytes: Buffer }
  | { readonly kind: "range"; readonly start: number; readonly end: number };

/** Of a part's header, so much is searched for fields; the same bound as Dovecot's. */
const maxHeaderBytes = 10 * 1024 * 1024;

/** BODY[HEADER…] of the message itself needs its header block and nothing else. */
export function isTopHeader({ section }: SectionItem): boolean {
  return section.path.length === 0 && (section.part.kind === "header" || section.part.kind === "fields");
}

export function sectionOfHeader(item: SectionItem, header: Buffer): SectionBytes {
  const { part } = item.section;
  const bytes = part.kind === "fields" ? selectHeaderFields(header, part.names, part.not) : header;
  return cut({ kind: "bytes", bytes }, item.partial);
}

/** Waits for the whole message where its parts have to be found. A part that is not there is empty. */
export async function sectionOfContent(
  item: SectionItem,
  uid: Uid,
  content: MessageContent,
  { trees, output }: { readonly trees: PartTrees; readonly output: Output },
): Promise<SectionBytes> {
  const { section, partial } = item;
  if (section.path.length === 0 && section.part.kind === "whole") {
    return cut({ kind: "range", start: 0, end: content.sizeBytes }, partial);
  }
  const location = locateSection(await trees.of(uid, content, output), section);
  switch (location.kind) {
    case "range":
      return cut({ kind: "range", start: location.start, end: location.end }, partial);
    case "fields": {
      const { start, end, names, not } = location;
      const header = await content.read(start, Math.min(end, start + maxHeaderBytes));
      const bytes =
        section.path.length === 0
          ? selectHeaderFields(header, names, not)
          : selectPartFields(await readOn(content, start, header), names, not);
      return cut({ kind: "bytes", bytes }, partial);
    }
    case "none":
      return { kind: "bytes", bytes: Buffer.alloc(0) };
    default:
      return unreachable(location);
  }
}

/** What begins with the part's header, as far as it is needed. */
async function readOn(content: MessageContent, start: number, header: Buffer): Promise<Buffer> {
  if (headerEnd(header) !== undefined) return header;
  return content.read(start, Math.min(content.sizeBytes, start + maxHeaderBytes));
}

export function lengthOf(section: SectionBytes): number {
  return section.kind === "bytes" ? section.bytes.length : section.end - section.start;
}

function cut(section: SectionBytes, partial: SectionItem["partial"]): SectionBytes {
  if (!partial) return section;
  const from = Math.min(partial.startBytes, lengthOf(section));
  const to = Math.min(partial.startBytes + partial.lengthBytes, lengthOf(section));
  if (section.kind === "bytes") return { kind: "bytes", bytes: section.bytes.subarray(from, to) };
  return { kind: "range", start: section.start + from, end: section.start + to };
}
