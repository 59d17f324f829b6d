/**
 * The way in from one socket: waits for bytes and has them cut into pieces. It reads only when asked, so
 * a client that sends faster than it is answered is held back by TCP.
 */
import type { Readable } from "node:stream";

export interface Input {
  /**
   * The next piece; `ended` when the client will send no more, `timeout` when `timeLeftMs` is over,
   * `interrupted` when `interrupt` was called and nothing is left that was read already.
   */
  next<Piece>(take: () => Piece | undefined, timeLeftMs: () => number): Promise<Piece | InputEnd>;
  /** Ends the wait that is on, or the next one. */
  interrupt(): void;
  /** Takes its hands off the socket and drops what was received. */
  detach(): void;
}

export interface InputEnd {
  readonly kind: "ended" | "timeout" | "interrupted";
}

const events = ["readable", "end", "close", "error"] as const;

/** Where received bytes are put, to be cut up. */
export interface InputBuffer {
  push(chunk: Buffer): void;
  clear(): void;
}

export function createInput(socket: Readable, buffer: InputBuffer): Input {
  let isInterrupted = false;
  let wake: () => void = () => {};
  const changed = (): void => wake();
  for (const event of events) socket.on(event, changed);

  const change = (timeoutMs: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(changed, timeoutMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const end = (timeLeftMs: number): InputEnd | undefined => {
    if (isInterrupted) {
      isInterrupted = false;
      return { kind: "interrupted" };
    }
    if (socket.readableEnded || socket.destroyed) return { kind: "ended" };
    return timeLeftMs <= 0 ? { kind: "timeout" } : undefined;
  };

  return {
    next: async (take, timeLeftMs) => {
      for (;;) {
        const piece = take();
        if (piece) return piece;
        const chunk: Buffer | null = socket.read();
        if (chunk) {
          buffer.push(chunk);
          continue;
        }
        const leftMs = timeLeftMs();
        const ended = end(leftMs);
        if (ended) return ended;
        await change(leftMs);
      }
    },
    interrupt: () => {
      isInterrupted = true;
      wake();
    },
    detach: () => {
      for (const event of events) socket.off(event, changed);
      buffer.clear();
      while (socket.read() !== null);
    },
  };
}
