/** A MIME part while it is being scanned: from the start of its header to the end of its body. */
import { formatEnvelope } from "./envelope.ts";
import { noContentFields, readContentFields } from "./mime-fields.ts";
import type { Position } from "./mime-lines.ts";
import type { ContentFields, Extent, MimePart } from "./mime-part.ts";
import type { TreeBudget } from "./tree-budget.ts";

export interface OpenPart {
  /** A part of a multipart, or a message: the whole one or one inside message/rfc822. */
  readonly role: "mime" | "message";
  readonly parent: OpenPart | undefined;
  readonly headerStart: Position;
  headerEnd: Position;
  kind: MimePart["kind"];
  content: ContentFields;
  /** What divides a multipart; undefined where nothing can. */
  boundary: string | undefined;
  /** ENVELOPE of the message inside, once its header was read. */
  envelope: Buffer;
  readonly children: MimePart[];
}

/** Dovecot cuts longer ones; RFC 2046 5.1.1 allows 70. */
const maxBoundaryLength = 80;
const noBytes = Buffer.alloc(0);

export function openPart(role: OpenPart["role"], parent: OpenPart | undefined, start: Position): OpenPart {
  return {
    role,
    parent,
    headerStart: start,
    headerEnd: start,
    kind: "leaf",
    content: noContentFields(),
    boundary: undefined,
    envelope: noBytes,
    children: [],
  };
}

/** What holds where a header ends. */
export interface HeaderEnd {
  readonly position: Position;
  /** False where a boundary or the end of the message cuts it short: then no parts can follow. */
  readonly sawBlankLine: boolean;
  /** Whether the part may have parts of its own by its level, and by the number of parts so far. */
  readonly mayNest: boolean;
  readonly mayAdd: boolean;
  readonly budget: TreeBudget;
}

/** Takes in the header and decides what the part is. */
export function readHeader(part: OpenPart, header: Buffer, end: HeaderEnd): void {
  part.headerEnd = end.position;
  part.content = readContentFields(header, part.role === "mime", end.budget);
  part.kind = wantedKind(part);
  if (part.kind === "leaf" && part.content.type?.toLowerCase() === "multipart") makeOpaque(part);
  if (part.kind === "multipart" && end.sawBlankLine) {
    const param = part.content.params.find(({ name }) => name.toLowerCase() === "boundary");
    if (param && !end.mayNest) makeOpaque(part);
    else part.boundary = param?.value.slice(0, maxBoundaryLength);
  }
  if (part.kind === "message" && !(end.mayNest && end.mayAdd)) makeOpaque(part);
  if (part.parent?.kind === "message") part.parent.envelope = envelopeWithin(header, end.budget);
}

function envelopeWithin(header: Buffer, budget: TreeBudget): Buffer {
  const envelope = budget.envelopeBytes > 0 ? formatEnvelope(header) : noBytes;
  budget.envelopeBytes -= envelope.length;
  return budget.envelopeBytes > 0 ? envelope : formatEnvelope(noBytes);
}

function makeOpaque(part: OpenPart): void {
  part.kind = "leaf";
  part.content = { ...part.content, type: "application", subtype: "octet-stream" };
}

function wantedKind({ content, parent, role }: OpenPart): MimePart["kind"] {
  const subtype = content.subtype.toLowerCase();
  switch (content.type?.toLowerCase()) {
    case "multipart":
      return subtype === "" ? "leaf" : "multipart";
    case "message":
      return subtype === "rfc822" ? "message" : "leaf";
    case undefined: {
      // RFC 2046 5.1.5: parts of a digest are messages by default.
      const inDigest = role === "mime" && parent?.content.subtype.toLowerCase() === "digest";
      return inDigest ? "message" : "leaf";
    }
    default:
      return "leaf";
  }
}

/** The part, whose body ends here. */
export function finishPart(part: OpenPart, end: Position): MimePart {
  const { content, children } = part;
  const header = extent(part.headerStart, part.headerEnd);
  const body = extent(part.headerEnd, end);
  const [message] = children;
  if (part.kind === "multipart") return { kind: "multipart", header, body, content, parts: children };
  if (part.kind === "message" && message) {
    return { kind: "message", header, body, content, message, envelope: part.envelope };
  }
  return { kind: "leaf", header, body, content };
}

function extent(start: Position, end: Position): Extent {
  const lineCount = end.lineCount - start.lineCount;
  const sizeBytes = end.offset - start.offset;
  const virtualSizeBytes = sizeBytes + end.bareLineCount - start.bareLineCount;
  return { start: start.offset, end: end.offset, virtualSizeBytes, lineCount };
}
