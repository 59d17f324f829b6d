/**
 * The way out to one socket: pieces of an answer that are written in one turn of the event loop leave in
 * one go, and whoever writes much waits in `flushed` for the client to read. A client that does not read
 * for `stallTimeoutMs` is cut off.
 */

import type { Writable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MailError } from "../errors.ts";

export interface Output {
  readonly writtenBytes: number;
  /** A literal was announced and not all of it written: whatever is written now is taken for mail. */
  readonly insideLiteral: boolean;
  /** Strings are latin1. Never waits; what is gathered leaves when it is much or when the turn ends. */
  write(bytes: string | Buffer): void;
  /** Announces a literal; the next `sizeBytes` bytes written are its content. */
  beginLiteral(sizeBytes: number): void;
  /** Lets go of what is gathered now. */
  send(): void;
  /** Resolves when the socket takes more; also lets other work go first now and then. */
  flushed(): Promise<void>;
}

const gatherBytes = 64 * 1024;
/** How long one session may keep the event loop before others go first. */
const turnMs = 10;

export function createOutput(socket: Writable, stallTimeoutMs: number): Output {
  let gathered: Buffer[] = [];
  let text = "";
  let gatheredBytes = 0;
  let writtenBytes = 0;
  let literalEnd = 0;
  let turnStart = performance.now();
  let sendsSoon = false;

  const endText = (): void => {
    if (text !== "") gathered.push(Buffer.from(text, "latin1"));
    text = "";
  };

  const send = (): void => {
    endText();
    if (gathered.length === 0 || socket.destroyed) return;
    socket.cork();
    for (const bytes of gathered) socket.write(bytes);
    socket.uncork();
    gathered = [];
    gatheredBytes = 0;
  };

  const sendSoon = (): void => {
    sendsSoon = true;
    setImmediate(() => {
      sendsSoon = false;
      send();
    });
  };

  const write = (bytes: string | Buffer): void => {
    if (typeof bytes === "string") text += bytes;
    else {
      endText();
      gathered.push(bytes);
    }
    gatheredBytes += bytes.length;
    writtenBytes += bytes.length;
    if (gatheredBytes >= gatherBytes) send();
    else if (!sendsSoon) sendSoon();
  };

  return {
    get writtenBytes() {
      return writtenBytes;
    },
    get insideLiteral() {
      return writtenBytes < literalEnd;
    },
    write,
    beginLiteral: (sizeBytes) => {
      write(`{${sizeBytes}}\r\n`);
      literalEnd = writtenBytes + sizeBytes;
    },
    send,
    flushed: async () => {
      if (socket.destroyed) throw disconnected();
      if (socket.writableNeedDrain) await drained(socket, stallTimeoutMs);
      else if (performance.now() - turnStart > turnMs) await nextTurn();
      else return;
      turnStart = performance.now();
    },
  };
}

/** What a command gets that waits for a client that is gone. */
export class ClientGone extends MailError {
  constructor(cause?: unknown) {
    super("UNAVAILABLE", "The client is gone", cause);
  }
}

export function disconnected(cause?: unknown): MailError {
  return new ClientGone(cause);
}

function drained(socket: Writable, stallTimeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown): void => {
      clearTimeout(timer);
      socket.off("drain", settle).off("error", giveUp).off("close", settle);
      if (socket.destroyed) reject(disconnected(error));
      else resolve();
    };
    const giveUp = (error?: unknown): void => {
      socket.destroy();
      settle(error);
    };
    const timer = setTimeout(() => giveUp(new Error("the client does not read")), stallTimeoutMs);
    socket.on("drain", settle).on("error", giveUp).on("close", settle);
  });
}
