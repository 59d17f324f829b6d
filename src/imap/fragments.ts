/**
 * Stage 1 of reading commands: bytes into lines and literals (RFC 3501 2.2.2 and 4.3, RFC 7888), capped.
 * It knows nothing of grammar.
 *
 * What always holds
 * - The result does not depend on how the bytes were cut into chunks.
 * - A command ends where a line ends that announces no literal, however malformed it is; announced
 *   literal bytes are kept or dropped, and never read as a command.
 * - What is held of one command is at most `maxTextBytes` of lines and `maxKeptBytes` in all; what is
 *   dropped of one command is counted, and above `maxDroppedBytes` the connection is to be given up.
 */

export interface FragmentLimits {
  /** All lines of one command together, literals not counted. */
  readonly maxTextBytes: number;
  /** One literal that is kept. */
  readonly maxLiteralBytes: number;
  /** Lines and kept literals of one command together. */
  readonly maxKeptBytes: number;
  readonly maxDroppedBytes: number;
  /** The message of an APPEND is handed over in pieces; otherwise its bytes are dropped. */
  readonly takesMessages?: boolean;
}

/** Literals are arguments, kept whole, but for the message of an APPEND, which is handed over or dropped. */
export type Literal =
  | { readonly kind: "kept"; readonly bytes: Buffer }
  | { readonly kind: "dropped"; readonly sizeBytes: number };

/** `texts` (latin1, without line ends) and `literals` alternate; there is one text more. */
export interface CommandText {
  readonly texts: readonly string[];
  readonly literals: readonly Literal[];
}

export type Fragment =
  | { readonly kind: "command"; readonly command: CommandText }
  /** The client waits for `+` before it sends a literal. */
  | { readonly kind: "continue" }
  /**
   * The message of an APPEND follows, `command` being all before it. Its pieces come next, unless
   * `refuseMessage` is called first: a client that waits for `+` then sends nothing, and the command is over.
   */
  | {
      readonly kind: "message";
      readonly command: CommandText;
      readonly sizeBytes: number;
      readonly synchronizing: boolean;
    }
  | { readonly kind: "piece"; readonly bytes: Buffer }
  /** A command beyond the caps, passed over to its end; `head` is how it began. */
  | { readonly kind: "refused"; readonly head: string; readonly reason: string }
  /** More was to be dropped than is bearable; nothing can follow. */
  | { readonly kind: "flood" };

export interface Fragmenter {
  push(chunk: Buffer): void;
  /** The next fragment; undefined when it takes more bytes. */
  next(limits: FragmentLimits): Fragment | undefined;
  /** One line as it is, for SASL answers: braces at its end mean nothing. */
  nextLine(limits: FragmentLimits): Fragment | undefined;
  /** See the fragment `message`. */
  refuseMessage(): void;
  /** Forgets all that was pushed (STARTTLS, RFC 3501 6.2.1). */
  clear(): void;
}

const announcement = /\{(\d+)(\+?)\}$/;
const announcementMaxBytes = 32;
const headMaxChars = 256;
const lineFeed = 0x0a;
const noBytes = Buffer.alloc(0);
/** Bytes that drip in one by one are put together when there are this many pieces. */
const maxPieces = 512;

interface Partial {
  readonly texts: string[];
  readonly literals: Literal[];
  line: Buffer[];
  /** Bytes of lines, of lines and literals kept, and of what was dropped. */
  textBytes: number;
  keptBytes: number;
  droppedBytes: number;
  /** The literal being read: `pieces` undefined while it is dropped. */
  literal: PendingLiteral | undefined;
  /** Set once the command is beyond a cap: why, how it began, and the end of the line being dropped. */
  refused: { reason: string; head: string; tail: Buffer } | undefined;
}

interface PendingLiteral {
  readonly sizeBytes: number;
  leftBytes: number;
  pieces: Buffer[] | undefined;
  /** Given away piece by piece, in place of being kept or dropped. */
  isMessage?: boolean;
  readonly synchronizing?: boolean;
}

export function createFragmenter(): Fragmenter {
  const chunks: Buffer[] = [];
  let partial = emptyPartial();
  let flooded = false;

  const take = (limits: FragmentLimits, literals: boolean): Fragment | undefined => {
    while (!flooded) {
      const fragment = partial.literal
        ? readLiteral(chunks, partial)
        : readLine(chunks, partial, limits, literals);
      if (partial.droppedBytes > limits.maxDroppedBytes) break;
      if (fragment === "more") return undefined;
      if (fragment === "again") continue;
      if (fragment.kind === "flood") break;
      if (endsCommand(fragment)) partial = emptyPartial();
      return fragment;
    }
    flooded = true;
    chunks.length = 0;
    return { kind: "flood" };
  };

  return {
    push: (chunk) => {
      if (chunk.length > 0 && !flooded) chunks.push(chunk);
    },
    next: (limits) => take(limits, true),
    nextLine: (limits) => take(limits, false),
    refuseMessage: () => {
      const { literal } = partial;
      if (!literal?.isMessage) return;
      literal.isMessage = false;
      if (literal.synchronizing) partial = emptyPartial();
      else partial.droppedBytes += literal.sizeBytes;
    },
    clear: () => {
      chunks.length = 0;
      partial = emptyPartial();
    },
  };
}

function endsCommand({ kind }: Fragment): boolean {
  return kind !== "continue" && kind !== "message" && kind !== "piece";
}

function emptyPartial(): Partial {
  return {
    texts: [],
    literals: [],
    line: [],
    textBytes: 0,
    keptBytes: 0,
    droppedBytes: 0,
    literal: undefined,
    refused: undefined,
  };
}

function readLiteral(chunks: Buffer[], partial: Partial): Fragment | "more" | "again" {
  const { literal } = partial;
  while (literal && literal.leftBytes > 0) {
    const chunk = chunks.shift();
    if (!chunk) return "more";
    const piece = chunk.subarray(0, literal.leftBytes);
    if (piece.length < chunk.length) chunks.unshift(chunk.subarray(piece.length));
    literal.leftBytes -= piece.length;
    if (literal.isMessage) return { kind: "piece", bytes: piece };
    if (literal.pieces) literal.pieces = withPiece(literal.pieces, piece);
  }
  if (literal && !partial.refused) {
    partial.literals.push(
      literal.pieces
        ? { kind: "kept", bytes: Buffer.concat(literal.pieces) }
        : { kind: "dropped", sizeBytes: literal.sizeBytes },
    );
  }
  partial.literal = undefined;
  return "again";
}

function readLine(
  chunks: Buffer[],
  partial: Partial,
  limits: FragmentLimits,
  literals: boolean,
): Fragment | "more" | "again" {
  for (;;) {
    const chunk = chunks.shift();
    if (!chunk) return "more";
    const end = chunk.indexOf(lineFeed);
    const piece = end < 0 ? chunk : chunk.subarray(0, end);
    addToLine(partial, piece, limits);
    if (end < 0) continue;
    if (end + 1 < chunk.length) chunks.unshift(chunk.subarray(end + 1));
    return endLine(partial, limits, literals);
  }
}

function addToLine(partial: Partial, piece: Buffer, limits: FragmentLimits): void {
  let surplus = piece;
  if (!partial.refused) {
    const room = Math.min(limits.maxTextBytes - partial.textBytes, limits.maxKeptBytes - partial.keptBytes);
    const kept = piece.subarray(0, room);
    partial.textBytes += kept.length;
    partial.keptBytes += kept.length;
    partial.line = withPiece(partial.line, kept);
    if (kept.length === piece.length) return;
    const line = Buffer.concat(partial.line);
    refuse(partial, "Command too long", line, line);
    surplus = piece.subarray(room);
  }
  dropFromLine(partial, surplus);
}

function dropFromLine(partial: Partial, bytes: Buffer): void {
  partial.droppedBytes += bytes.length;
  if (!partial.refused) return;
  partial.refused.tail = lastBytes(Buffer.concat([partial.refused.tail, lastBytes(bytes)]));
}

/** `tail`: what there is of the line that is not over yet. */
function refuse(partial: Partial, reason: string, line: Buffer, tail: Buffer): void {
  const head = (partial.texts[0] ?? line.toString("latin1", 0, headMaxChars)).slice(0, headMaxChars);
  partial.refused = { reason, head, tail: lastBytes(tail) };
  partial.texts.length = 0;
  partial.literals.length = 0;
  partial.line = [];
}

/** A line is whole: either the command ends here or a literal follows. */
function endLine(partial: Partial, limits: FragmentLimits, literals: boolean): Fragment | "again" {
  const line = partial.refused ? partial.refused.tail : Buffer.concat(partial.line);
  const text = line.toString("latin1").replace(/\r$/, "");
  partial.line = [];
  if (partial.refused) partial.refused.tail = noBytes;
  else partial.texts.push(text);

  const announced = literals ? announcement.exec(text) : null;
  if (!announced) return endCommand(partial);
  const sizeBytes = Number(announced[1]);
  const synchronizing = announced[2] === "";
  if (!partial.refused && isMessageLiteral(partial)) {
    if (limits.takesMessages && Number.isSafeInteger(sizeBytes))
      return messageFollows(partial, sizeBytes, synchronizing);
    // Without the go-ahead a client sends no byte of it: the command ends at its announcement.
    if (synchronizing) {
      partial.literals.push({ kind: "dropped", sizeBytes });
      partial.texts.push("");
      return endCommand(partial);
    }
    return dropLiteral(partial, sizeBytes);
  }
  const tooLong = sizeBytes > limits.maxLiteralBytes || partial.keptBytes + sizeBytes > limits.maxKeptBytes;
  if (!partial.refused && tooLong) refuse(partial, "Literal too long", line, noBytes);
  if (partial.refused) return synchronizing ? endCommand(partial) : dropLiteral(partial, sizeBytes);
  partial.keptBytes += sizeBytes;
  partial.literal = { sizeBytes, leftBytes: sizeBytes, pieces: [] };
  return synchronizing ? { kind: "continue" } : "again";
}

function messageFollows(partial: Partial, sizeBytes: number, synchronizing: boolean): Fragment {
  partial.literal = { sizeBytes, leftBytes: sizeBytes, pieces: undefined, isMessage: true, synchronizing };
  const texts = [...partial.texts, ""];
  const literals: Literal[] = [...partial.literals, { kind: "dropped", sizeBytes }];
  return { kind: "message", command: { texts, literals }, sizeBytes, synchronizing };
}

function dropLiteral(partial: Partial, sizeBytes: number): Fragment | "again" {
  partial.droppedBytes += sizeBytes;
  if (!Number.isSafeInteger(sizeBytes)) return { kind: "flood" };
  partial.literal = { sizeBytes, leftBytes: sizeBytes, pieces: undefined };
  return "again";
}

function endCommand({ refused, texts, literals }: Partial): Fragment {
  if (refused) return { kind: "refused", head: refused.head, reason: refused.reason };
  return { kind: "command", command: { texts, literals } };
}

/** Every literal of an APPEND but its mailbox name (RFC 3501 6.3.11) is the message. */
function isMessageLiteral({ texts, literals }: Partial): boolean {
  if (!/^[^ ]{1,255} APPEND /i.test(texts[0] ?? "")) return false;
  return literals.length > 0 || !/^[^ ]+ [^ ]+ \{\d+\+?\}$/.test(texts[0] ?? "");
}

function withPiece(pieces: Buffer[], piece: Buffer): Buffer[] {
  pieces.push(piece);
  return pieces.length < maxPieces ? pieces : [Buffer.concat(pieces)];
}

function lastBytes(bytes: Buffer): Buffer {
  return Buffer.from(bytes.subarray(-announcementMaxBytes));
}
