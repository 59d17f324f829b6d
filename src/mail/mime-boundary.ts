/** The lines that divide a multipart (RFC 2046 5.1.1), matched as Dovecot 2.3 matches them. */

export interface Boundary {
  readonly text: string;
  /** Level of the multipart that it divides, 0 for the message itself. */
  readonly level: number;
}

/** A boundary line: of which boundary, and whether it ends the multipart. */
export interface BoundaryLine {
  readonly boundary: Boundary;
  readonly isLast: boolean;
}

/** More than the longest boundary with its dashes. */
const maxBoundaryLineBytes = 96;
const dash = 0x2d;

/**
 * Reads the line `bytes[from..to-1]`. It need only begin with a boundary: the longest counts, the
 * innermost of equal ones, or at once one that is all of the line, be it with `--` behind it.
 * `boundaries` are from the outermost to the innermost; `isWhole` is false for a line without its end.
 */
export function readBoundaryLine(
  boundaries: readonly Boundary[],
  bytes: Buffer,
  { from, to, isWhole }: { readonly from: number; readonly to: number; readonly isWhole: boolean },
): BoundaryLine | undefined {
  if (to - from < 2 || bytes[from] !== dash || bytes[from + 1] !== dash) return undefined;
  const text = bytes.toString("latin1", from + 2, Math.min(to, from + maxBoundaryLineBytes));
  const withoutDashes = isWhole && text.length > 2 && text.endsWith("--") ? text.length - 2 : text.length;
  let best: Boundary | undefined;
  for (let index = boundaries.length - 1; index >= 0; index--) {
    const boundary = boundaries[index];
    if (!boundary || boundary.text.length <= (best?.text.length ?? -1)) continue;
    if (!text.startsWith(boundary.text)) continue;
    best = boundary;
    if (best.text.length === text.length || best.text.length === withoutDashes) break;
  }
  return best && { boundary: best, isLast: text.startsWith("--", best.text.length) };
}
