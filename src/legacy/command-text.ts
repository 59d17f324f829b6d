/**
 * Commands on their way to the server. Text that is not ours (mailbox names, search criteria) gets into
 * a command as a quoted string or a literal only, so that it cannot become a command of its own.
 */
import { MailError } from "../errors.ts";
import type { MessageContent } from "../mail/message.ts";

/** Text of ours, already in wire form, bytes to send as a literal, or a message to send as one. */
export type CommandPart = string | { readonly literal: Buffer } | { readonly message: MessageContent };

/** What goes out in one go: bytes, or a message that is read while it is sent. */
export type CommandPiece = Buffer | MessageContent;

/** A mailbox name (latin1): quoted where it is 7-bit and printable, a literal otherwise. */
export function nameArgument(latin1: string): CommandPart {
  if (/^[\x20-\x7e]*$/.test(latin1)) return `"${latin1.replace(/["\\]/g, "\\$&")}"`;
  // RFC 3501 CHAR8 has no NUL: there can be no mailbox of that name.
  if (latin1.includes("\0")) throw new MailError("NONEXISTENT", "No such mailbox");
  return { literal: Buffer.from(latin1, "latin1") };
}

/**
 * The pieces to write, the server's `+` being awaited between two: one piece where it takes
 * non-synchronising literals (RFC 7888). For a message it is always awaited: a server that will not have
 * it can say so first.
 */
export function encodeCommand(
  tag: string,
  parts: readonly CommandPart[],
  capabilities: ReadonlySet<string>,
): CommandPiece[][] {
  const pieces: CommandPiece[][] = [];
  let piece: Buffer[] = [Buffer.from(`${tag} `)];
  /** A message that the next bytes follow. */
  const rest: CommandPiece[] = [];
  for (const part of parts) {
    if (typeof part === "string") {
      piece.push(Buffer.from(part, "latin1"));
      continue;
    }
    if ("message" in part) {
      pieces.push([
        ...rest.splice(0),
        Buffer.concat([...piece, Buffer.from(`{${part.message.sizeBytes}}\r\n`)]),
      ]);
      piece = [];
      rest.push(part.message);
      continue;
    }
    const { literal } = part;
    const mayFollow =
      capabilities.has("LITERAL+") || (capabilities.has("LITERAL-") && literal.length <= 4096);
    piece.push(Buffer.from(`{${literal.length}${mayFollow ? "+" : ""}}\r\n`));
    if (!mayFollow) {
      pieces.push([...rest.splice(0), Buffer.concat(piece)]);
      piece = [];
    }
    piece.push(literal);
  }
  return [...pieces, [...rest, Buffer.concat([...piece, Buffer.from("\r\n")])]];
}

/**
 * Search criteria in wire form: each piece but the last ends with `{n}` CRLF, and the next begins with
 * those n bytes. Throws CANNOT where they are not of that form: nothing else may hold a line end.
 */
export function criteriaParts(pieces: readonly Buffer[]): CommandPart[] {
  const parts: CommandPart[] = [];
  let literalBytes = 0;
  pieces.forEach((piece, index) => {
    if (index > 0) parts.push({ literal: piece.subarray(0, literalBytes) });
    let text = piece.toString("latin1", literalBytes);
    if (piece.length < literalBytes) throw badCriteria();
    literalBytes = 0;
    if (index < pieces.length - 1) {
      const match = /\{(\d{1,9})\+?\}\r\n$/.exec(text);
      if (!match) throw badCriteria();
      literalBytes = Number(match[1]);
      text = text.slice(0, match.index);
    }
    if (/[\r\n\0]|\{\d+\+?\}$/.test(text)) throw badCriteria();
    if (text !== "") parts.push(text);
  });
  return parts;
}

function badCriteria(): MailError {
  return new MailError("CANNOT", "This search cannot be sent to the old server");
}
