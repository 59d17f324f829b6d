/**
 * Bytes of a POP3 server into answers, one for each command in the order they were sent (RFC 1939 3). Where an
 * answer has more lines its end is found by the state of the stream; its bytes are passed on as they come.
 */
import { MailError } from "../errors.ts";
import { createDotUnstuffer, type DotUnstuffer } from "../mail/dot-stuffing.ts";

export interface Pop3Reply {
  readonly ok: boolean;
  /** A lone `+`: the server asks for more of a SASL exchange (RFC 5034 4). */
  readonly isChallenge: boolean;
  /** Upper case, `IN-USE`; undefined where there is none (RFC 2449 8). */
  readonly code: string | undefined;
  /** Behind `+OK ` or `-ERR ` and the code. */
  readonly text: string;
}

/** Who waits for the next answer. */
export interface Pop3Asker {
  /** Takes the lines behind `+OK`; undefined where none follow. A promise holds the reader back. */
  readonly onBytes: ((bytes: Buffer) => undefined | Promise<void>) | undefined;
  /** `+OK` has come, and lines are to follow. */
  readonly onBegun?: (() => void) | undefined;
  /** The answer is whole. */
  readonly onReply: (reply: Pop3Reply) => void;
}

export interface Pop3Reader {
  /** A promise means that no other chunk may be given before it is resolved. Throws UNAVAILABLE. */
  push(chunk: Buffer): Promise<void>;
}

const lf = 0x0a;
/** RFC 2449 4 has 512; servers tell more. */
const maxLineBytes = 8 * 1024;

/** `next` gives who asked first and has no answer yet; undefined where nobody has. */
export function createPop3Reader(next: () => Pop3Asker | undefined): Pop3Reader {
  let line: Buffer[] = [];
  let lineBytes = 0;
  let body:
    | { readonly asker: Pop3Asker; readonly reply: Pop3Reply; readonly unstuffer: DotUnstuffer }
    | undefined;

  const readLine = (chunk: Buffer): Buffer => {
    const end = chunk.indexOf(lf);
    const piece = end < 0 ? chunk : chunk.subarray(0, end);
    lineBytes += piece.length;
    if (lineBytes > maxLineBytes) throw nonsense("a line without end");
    line.push(piece);
    if (end < 0) return chunk.subarray(chunk.length);
    const text = Buffer.concat(line).toString("latin1").replace(/\r$/, "");
    line = [];
    lineBytes = 0;
    begin(parseReply(text));
    return chunk.subarray(end + 1);
  };
  const begin = (reply: Pop3Reply): void => {
    const asker = next();
    if (!asker) throw nonsense("an answer that nobody has asked for");
    if (!reply.ok || !asker.onBytes) asker.onReply(reply);
    else {
      body = { asker, reply, unstuffer: createDotUnstuffer() };
      asker.onBegun?.();
    }
  };

  return {
    async push(chunk) {
      let left = chunk;
      while (left.length > 0) {
        if (!body) {
          left = readLine(left);
          continue;
        }
        const { asker, reply, unstuffer } = body;
        const { pieces, end } = unstuffer.push(left);
        for (const piece of pieces) await asker.onBytes?.(piece);
        if (end === undefined) return;
        left = left.subarray(end);
        body = undefined;
        asker.onReply(reply);
      }
    },
  };
}

function parseReply(line: string): Pop3Reply {
  const match = /^(\+OK|-ERR|\+)(?: (.*))?$/i.exec(line);
  if (!match?.[1]) throw nonsense(`"${line.slice(0, 80)}"`);
  const [, code, text = ""] = /^(?:\[([A-Z0-9/-]+)\] ?)?(.*)$/i.exec(match[2] ?? "") ?? [];
  return { ok: match[1].startsWith("+"), isChallenge: match[1] === "+", code: code?.toUpperCase(), text };
}

function nonsense(what: string): MailError {
  return new MailError("UNAVAILABLE", "The old server's answer is no POP3", new Error(what));
}
