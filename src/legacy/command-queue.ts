/**
 * Commands of one connection, from sending to their tagged answer. They are sent in the order they were
 * given, without waiting for each other; only while the server has to say `+` before a literal does
 * everything behind it wait.
 */
import { type CommandPart, encodeCommand } from "./command-text.ts";
import type { LiteralSink } from "./response-reader.ts";
import type { Tagged, Untagged } from "./untagged.ts";

export interface ImapCommand {
  readonly parts: readonly CommandPart[];
  /** True, or a promise to hold the reader back, when this command (sent with `tag`) takes the response. */
  readonly onUntagged?: (untagged: Untagged, tag: string) => boolean | Promise<void>;
  /** A `BODY[]` literal of this UID follows: a sink when this command takes it. */
  readonly onContent?: (uid: number, sizeBytes: number) => LiteralSink | undefined;
}

export interface InFlight {
  readonly tag: string;
  readonly command: ImapCommand;
}

export interface CommandQueue {
  /** In the order they were sent. */
  readonly inFlight: readonly InFlight[];
  readonly isEmpty: boolean;
  send(command: ImapCommand): Promise<Tagged>;
  /** The server said `+`. */
  proceed(): void;
  /** False when no such command is in flight. */
  finish(tag: string, tagged: Tagged): boolean;
  rejectAll(reason: unknown): void;
}

interface Entry extends InFlight {
  /** Pieces not yet written. */
  readonly pieces: Buffer[];
  readonly resolve: (tagged: Tagged) => void;
  readonly reject: (reason: unknown) => void;
}

export function createCommandQueue(
  capabilities: ReadonlySet<string>,
  write: (piece: Buffer) => void,
): CommandQueue {
  const unsent: Entry[] = [];
  const inFlight: Entry[] = [];
  let awaitsContinuation: Entry | undefined;
  let lastTag = 0;

  const writePiece = (entry: Entry): void => {
    const piece = entry.pieces.shift();
    awaitsContinuation = entry.pieces.length > 0 ? entry : undefined;
    if (piece) write(piece);
  };
  const sendNext = (): void => {
    while (!awaitsContinuation) {
      const entry = unsent.shift();
      if (!entry) return;
      inFlight.push(entry);
      writePiece(entry);
    }
  };

  return {
    inFlight,
    get isEmpty() {
      return inFlight.length + unsent.length === 0;
    },
    send(command) {
      const tag = `M${++lastTag}`;
      const { promise, resolve, reject } = Promise.withResolvers<Tagged>();
      unsent.push({ tag, command, pieces: encodeCommand(tag, command.parts, capabilities), resolve, reject });
      sendNext();
      return promise;
    },
    proceed() {
      if (awaitsContinuation) writePiece(awaitsContinuation);
      sendNext();
    },
    finish(tag, tagged) {
      const index = inFlight.findIndex((entry) => entry.tag === tag);
      const entry = inFlight[index];
      if (!entry) return false;
      inFlight.splice(index, 1);
      // Refused before its literal: the rest of it must not follow.
      if (awaitsContinuation === entry) awaitsContinuation = undefined;
      entry.resolve(tagged);
      sendNext();
      return true;
    },
    rejectAll(reason) {
      for (const entry of [...inFlight.splice(0), ...unsent.splice(0)]) entry.reject(reason);
    },
  };
}
