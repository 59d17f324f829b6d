/**
 * Finds the MIME parts of a message in one pass over its bytes, which may come in chunks cut anywhere
 * and are not kept. Never fails: whatever the bytes are, they have a tree, the one Dovecot 2.3 sees.
 * Work and memory are bounded: at most 10,000 parts, 100 levels, 10 MB of one header, and of all headers what tree-budget.ts allows. What goes beyond
 * is a leaf of type application/octet-stream (a type that would nest) or no part of its own.
 */
import { createHeaderCollector } from "./header-collector.ts";
import { type Boundary, readBoundaryLine } from "./mime-boundary.ts";
import { createLineCutter, type LinePlace, type NewlineBytes, type Position } from "./mime-lines.ts";
import type { MimePart } from "./mime-part.ts";
import { finishPart, type OpenPart, openPart, readHeader } from "./open-part.ts";
import { createTreeBudget } from "./tree-budget.ts";

export interface MimeScanner {
  /** The next bytes of the message; they are not kept. */
  push(chunk: Buffer): void;
  /** The tree, once all bytes were pushed. */
  finish(): MimePart;
}

/** The tree of a message that is here as a whole. */
export function scanMessage(bytes: Buffer): MimePart {
  const scanner = createMimeScanner();
  scanner.push(bytes);
  return scanner.finish();
}

const maxParts = 10_000;
const maxLevels = 100;
const dash = 0x2d;

export function createMimeScanner(): MimeScanner {
  const collector = createHeaderCollector();
  const cutter = createLineCutter(onLine);
  const root = openPart("message", undefined, { offset: 0, lineCount: 0, bareLineCount: 0 });
  /** The innermost open part and its parents. */
  const open: OpenPart[] = [root];
  const boundaries: Boundary[] = [];
  const budget = createTreeBudget();
  let partCount = 1;
  let place: "header" | "behind header" | "body" = "header";
  /** Size of the line end before the current line, where a boundary would take it: 0 at the start of a body. */
  let newlineBefore: NewlineBytes = 0;
  let tree: MimePart | undefined;
  collector.begin(0);

  const innermost = (): OpenPart => open.at(-1) ?? root;

  function onLine(
    bytes: Buffer,
    from: number,
    to: number,
    newline: NewlineBytes,
    { start, end }: LinePlace,
  ): void {
    const mayDivide = bytes[from] === dash && boundaries.length > 0 && partCount < maxParts;
    const isWhole = newline > 0;
    const found = mayDivide ? readBoundaryLine(boundaries, bytes, { from, to, isWhole }) : undefined;
    const isOwn = found?.boundary.level === open.length - 1;
    if (place === "behind header" && (!found || isOwn)) beginBody({ ...start });
    if (found) {
      endParts(found.boundary, start);
      if (found.isLast) boundaries.pop();
      else if (isWhole) {
        beginPart("mime", { ...end });
        collector.begin(end.offset);
      }
    } else if (place === "header" && isWhole && to === from) {
      readHeaderBlock({ ...end }, true);
      place = "behind header";
      // Whether a header follows shows at the end of the next line only, whose bytes are needed then.
      if (innermost().kind === "message") collector.begin(end.offset);
    }
    newlineBefore = found ? 0 : newline;
    if (!isWhole) endMessage({ ...end });
  }

  /** The parts within the boundary's multipart end before the boundary and the line end before that. */
  function endParts(boundary: Boundary, lineStart: Position): void {
    let end = beforeNewline(lineStart, newlineBefore);
    if (place !== "body") {
      // A boundary right behind a header, or in it, takes its last line end, and all around keep that.
      const level = open.length - 1;
      cutHeader(end);
      closeParts(level, end);
      end = { ...lineStart };
    }
    closeParts(boundary.level + 1, end);
    while ((boundaries.at(-1)?.level ?? 0) > boundary.level) boundaries.pop();
    place = "body";
  }

  function cutHeader(end: Position): void {
    if (place === "header") readHeaderBlock(end, false);
    else innermost().headerEnd = end;
    beginBody(end);
    if (place === "header") readHeaderBlock(end, false);
  }

  function beginBody(start: Position): void {
    place = "body";
    newlineBefore = 0;
    if (innermost().kind === "message") beginPart("message", start);
  }

  function beginPart(role: OpenPart["role"], start: Position): void {
    open.push(openPart(role, innermost(), start));
    partCount++;
    place = "header";
  }

  function readHeaderBlock(end: Position, sawBlankLine: boolean): void {
    const part = innermost();
    const mayNest = open.length < maxLevels;
    const mayAdd = partCount < maxParts;
    readHeader(part, collector.end(end.offset), { position: end, sawBlankLine, mayNest, mayAdd, budget });
    if (part.boundary !== undefined) boundaries.push({ text: part.boundary, level: open.length - 1 });
  }

  function endMessage(end: Position): void {
    if (place === "header") cutHeader(end);
    closeParts(1, end);
    tree = finishPart(root, end);
  }

  /** Closes the parts from a level on, which end here. */
  function closeParts(level: number, end: Position): void {
    while (open.length > level) {
      const child = open.pop();
      if (child) innermost().children.push(finishPart(child, end));
    }
  }

  return {
    push(chunk) {
      collector.enter(chunk);
      cutter.push(chunk);
      collector.leave();
    },
    finish() {
      if (!tree) cutter.finish();
      return tree ?? finishPart(root, root.headerEnd);
    },
  };
}

function beforeNewline({ offset, lineCount, bareLineCount }: Position, newlineBytes: NewlineBytes): Position {
  return {
    offset: offset - newlineBytes,
    lineCount: lineCount - (newlineBytes > 0 ? 1 : 0),
    bareLineCount: bareLineCount - (newlineBytes === 1 ? 1 : 0),
  };
}
