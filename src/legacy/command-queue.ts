/**
 * Commands of one connection, from sending to their tagged answer. They are sent in the order they were
 * given, without waiting for each other; only while the server has to say `+` before a literal does
 * everything behind it wait.
 */

import type { MessageContent } from "../mail/message.ts";
import { type CommandPart, type CommandPiece, encodeCommand } from "./command-text.ts";
import type { LiteralSink } from "./response-reader.ts";
import type { Tagged, Untagged } from "./untagged.ts";

export interface ImapCommand {
  readonly parts: readonly CommandPart[];
  /** True, or a promise to hold the reader back, when this command (sent with `tag`) takes the response. */
  readonly onUntagged?: (untagged: Untagged, tag: string) => boolean | Promise<void>;
  /**
   * As the first in flight it may take whole lines at the beginning of `bytes` before they are read by anybody else;
   * tells how many bytes. They must be nothing but responses that `onUntagged` would take.
   */
  readonly onLines?: (bytes: Buffer) => number;
  /** The last byte was handed to the socket: from now on the server may have the whole of it. */
  readonly onSent?: () => void;
  /** Called with the tagged answer before anything behind it is read. */
  readonly onAnswered?: (tagged: Tagged) => void;
  /** It lasts until this is sent (IDLE): when anything else has to be, or at `endLasting`. */
  readonly endedBy?: string;
  /** So many untagged responses may come that have nothing to do with the messages of a mailbox. */
  readonly maxResponses?: number;
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
  /** A command lasts (see `endedBy`), and none but it is in flight: silence is no sign of trouble. */
  readonly isLasting: boolean;
  send(command: ImapCommand): Promise<Tagged>;
  /** Ends the command that lasts, if there is one. */
  endLasting(): void;
  /** The server said `+`. */
  proceed(): void;
  /** False when no such command is in flight. */
  finish(tag: string, tagged: Tagged): boolean;
  rejectAll(reason: unknown): void;
}

interface Entry extends InFlight {
  /** Not yet written; the server's `+` is awaited between two. */
  readonly pieces: CommandPiece[][];
  readonly resolve: (tagged: Tagged) => void;
  readonly reject: (reason: unknown) => void;
}

export function createCommandQueue(
  capabilities: ReadonlySet<string>,
  write: (piece: Buffer) => void,
  /** Sends a message; rejects when it cannot be read or sent to its end. */
  writeMessage: (message: MessageContent) => Promise<void>,
  /** The command was cut off in the middle: nothing can follow it. */
  onCutOff: (reason: unknown) => void,
): CommandQueue {
  const unsent: Entry[] = [];
  const inFlight: Entry[] = [];
  /** Nothing else may be sent before the rest of this one. */
  let awaitsContinuation: Entry | undefined;
  let isSendingMessage = false;
  let lastTag = 0;
  /** Between its sending and the server's `+` nothing may follow it, not even what ends it (RFC 2177 3). */
  let lasting: { readonly entry: Entry; phase: "sent" | "lasts" | "ending"; isUnwanted: boolean } | undefined;

  /** False while it cannot be ended yet. */
  const endLasting = (): boolean => {
    if (!lasting || lasting.phase === "ending") return true;
    lasting.isUnwanted = true;
    if (lasting.phase === "sent") return false;
    lasting.phase = "ending";
    write(Buffer.from(lasting.entry.command.endedBy ?? "", "latin1"));
    return true;
  };

  const writeAll = async (pieces: readonly CommandPiece[]): Promise<void> => {
    for (const piece of pieces) {
      if (Buffer.isBuffer(piece)) write(piece);
      else await writeMessage(piece);
    }
  };
  const writePiece = (entry: Entry): void => {
    const pieces = entry.pieces.shift() ?? [];
    const isLast = entry.pieces.length === 0;
    awaitsContinuation = isLast ? undefined : entry;
    if (pieces.every((piece) => Buffer.isBuffer(piece))) {
      for (const piece of pieces) write(piece);
      if (isLast) entry.command.onSent?.();
      return;
    }
    isSendingMessage = true;
    writeAll(pieces).then(() => {
      isSendingMessage = false;
      if (isLast) entry.command.onSent?.();
      sendNext();
    }, onCutOff);
  };
  const sendNext = (): void => {
    while (unsent.length > 0 && !awaitsContinuation && !isSendingMessage && endLasting()) {
      const entry = unsent.shift();
      if (!entry) return;
      inFlight.push(entry);
      if (entry.command.endedBy !== undefined) lasting = { entry, phase: "sent", isUnwanted: false };
      writePiece(entry);
    }
  };

  return {
    inFlight,
    get isEmpty() {
      // An answer may come before its message is sent to the end: nothing else can follow yet.
      return inFlight.length + unsent.length === 0 && !isSendingMessage;
    },
    get isLasting() {
      return lasting?.phase === "lasts";
    },
    endLasting: () => void endLasting(),
    send(command) {
      const tag = `M${++lastTag}`;
      const { promise, resolve, reject } = Promise.withResolvers<Tagged>();
      unsent.push({ tag, command, pieces: encodeCommand(tag, command.parts, capabilities), resolve, reject });
      sendNext();
      return promise;
    },
    proceed() {
      if (awaitsContinuation) writePiece(awaitsContinuation);
      else if (lasting?.phase === "sent") {
        lasting.phase = "lasts";
        if (lasting.isUnwanted) endLasting();
      }
      sendNext();
    },
    finish(tag, tagged) {
      const index = inFlight.findIndex((entry) => entry.tag === tag);
      const entry = inFlight[index];
      if (!entry) return false;
      inFlight.splice(index, 1);
      // Refused before its literal: the rest of it must not follow.
      if (awaitsContinuation === entry) awaitsContinuation = undefined;
      if (lasting?.entry === entry) lasting = undefined;
      entry.command.onAnswered?.(tagged);
      entry.resolve(tagged);
      sendNext();
      return true;
    },
    rejectAll(reason) {
      for (const entry of [...inFlight.splice(0), ...unsent.splice(0)]) entry.reject(reason);
    },
  };
}
