/**
 * One authenticated connection to the old server: several commands may be in flight, answers are matched
 * by tag, untagged data are offered to the commands in flight in the order they were sent.
 *
 * What always holds
 * - A refused command (tagged NO or BAD) is a result; a rejection means that the connection is gone.
 * - Whatever goes wrong with the connection or within a handler closes it, once, and rejects every
 *   command in flight with that reason.
 * - While a handler's promise is pending the socket is paused and the inactivity deadline is off.
 * - An answer that does not come to its end closes the connection as well (answer-allowance.ts).
 */
import type { Socket } from "node:net";
import { MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { EncodedMailboxName, UidValidity } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { breathe } from "../waiting.ts";
import { createAnswerAllowance } from "./answer-allowance.ts";
import { createCommandQueue, type ImapCommand, type InFlight } from "./command-queue.ts";
import { createDeadline } from "./deadline.ts";
import { parseFetch } from "./fetch-answer.ts";
import { type Quirks, quirksOf } from "./quirks.ts";
import { noteReading } from "./read-turns.ts";
import { createResponseReader, type LiteralSink, streamedLiteral } from "./response-reader.ts";
import { defaultCommandMs } from "./server-config.ts";
import { ServerFault, ServerSilent } from "./server-fault.ts";
import type { Namespaces } from "./source.ts";
import { fetchPosition, parseResponse, type Tagged, type Untagged } from "./untagged.ts";

export type ShownValidity = <Told extends UidValidity | undefined>(
  name: EncodedMailboxName,
  told: Told,
) => UidValidity | Told;

export interface ImapConnection {
  readonly capabilities: ReadonlySet<string>;
  readonly quirks: Quirks;
  /** The most messages that were told of in one mailbox: no truthful answer is about more. */
  readonly mostMessages: number;
  /** Responses received so far, BYE aside: tells whether anything came since some moment. */
  readonly responseCount: number;
  readonly isClosed: boolean;
  /** Commands are in flight. */
  readonly isBusy: boolean;
  /** Commands are in flight, and not only IDLE. */
  readonly isAsked: boolean;
  /** When the server was last heard of, and when it was last asked something but IDLE (`performance.now()`). */
  readonly heardAt: number;
  readonly askedAt: number;
  /** The mailbox that is selected, for choosing among idle connections. */
  selected: EncodedMailboxName | undefined;
  /** Told of untagged responses that no command in flight takes. */
  onUnasked: ((untagged: Untagged) => void) | undefined;
  /** Mailboxes that have no MODSEQs though the server offers CONDSTORE. */
  readonly withoutModSeqs: Set<EncodedMailboxName>;
  /** What is shown for a UIDVALIDITY that the server tells. */
  shownValidity: ShownValidity;
  /** NAMESPACE's answer, asked once a connection. */
  namespaces: Namespaces | undefined;
  /** Told of each answer, how long it took, and how much came meanwhile. */
  onAnswered: ((answer: Tagged, durationMs: number, bytes: number) => void) | undefined;
  /** Resolves with the reason once the connection is closed. */
  readonly closed: Promise<unknown>;
  run(command: ImapCommand): Promise<Tagged>;
  /** Ends the command that lasts, if there is one (see ImapCommand). */
  endLasting(): void;
  /** Closes at once; commands in flight and to come are rejected with `reason`. */
  destroy(reason: unknown): void;
  /** Says LOGOUT and closes; resolves when closed, within two seconds. */
  logout(): Promise<void>;
}

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly capabilities: ReadonlySet<string>;
  /** What the server said first. */
  readonly greeting: string;
  readonly logger: Logger;
  /** How long the server may be silent while commands are in flight. */
  readonly commandTimeoutMs?: number;
}

const logoutTimeoutMs = 2_000;
/** `* 12345 FETCH (UID 123456 FLAGS (\\Seen))`: lines that are taken many at a time are not counted one by one. */
const typicalLineBytes = 40;
/** So much is read at one go. */
const pieceBytes = 8 << 10;

export function createImapConnection(options: ConnectionOptions): ImapConnection {
  const { socket, greeting, logger, commandTimeoutMs = defaultCommandMs } = options;
  const quirks = quirksOf(greeting, options.capabilities);
  const capabilities = options.capabilities.difference(new Set(quirks.withheld));
  const queue = createCommandQueue(
    capabilities,
    (piece) => {
      gather();
      socket.write(piece);
      restartDeadline();
    },
    (message) => sendMessage(socket, message, () => restartDeadline()),
    (reason) => destroy(reason),
  );
  const allowance = createAnswerAllowance(commandTimeoutMs);
  const deadline = createDeadline(commandTimeoutMs, () => destroy(silent(commandTimeoutMs)));
  const { promise: closed, resolve: resolveClosed } = Promise.withResolvers<unknown>();
  let responseCount = 0;
  let isClosed = false;
  let closeReason: unknown;
  let isHeldBack = false;
  let isGathering = false;
  let heardAt = performance.now();
  let askedAt = heardAt;

  /** What is sent at one go (the end of IDLE, several commands) leaves in one write. */
  const gather = (): void => {
    if (isGathering) return;
    isGathering = true;
    socket.cork();
    process.nextTick(() => {
      isGathering = false;
      socket.uncork();
    });
  };

  const restartDeadline = (): void => {
    if (queue.isEmpty || isHeldBack || isClosed || queue.isLasting) deadline.stop();
    else deadline.restart();
  };

  const destroy = (reason: unknown): void => {
    if (isClosed) return;
    isClosed = true;
    closeReason = reason;
    reader.stop();
    deadline.stop();
    socket.destroy();
    queue.rejectAll(reason);
    logger.debug({ err: reason }, "connection to the old server closed");
    resolveClosed(reason);
  };

  /** From when on the server owes an answer. */
  const noteIfIdle = (): void => {
    if (queue.isEmpty || queue.isLasting) allowance.noteProgress();
  };
  const noteUntagged = (untagged: Untagged, literals: readonly Buffer[]): void => {
    if (untagged.kind === "fetch")
      allowance.noteFetched(literals.reduce((sum, { length }) => sum + length, 0));
    if (untagged.kind === "count" && untagged.name === "EXISTS") allowance.noteExists(untagged.value);
    allowance.noteResponses(
      1,
      queue.inFlight.reduce((sum, { command }) => sum + (command.maxResponses ?? 0), 0),
    );
  };
  const respond = (text: string, literals: readonly Buffer[]): undefined | Promise<void> => {
    const response = parseResponse(text, literals);
    // A farewell is no answer: whoever got nothing else may try on another connection.
    if (response.kind !== "untagged" || !isBye(response.untagged)) responseCount++;
    switch (response.kind) {
      case "untagged":
        noteUntagged(response.untagged, literals);
        return offer(queue.inFlight, response.untagged, connection.onUnasked);
      case "tagged":
        allowance.noteAnswered();
        if (!queue.finish(response.tag, response.tagged)) throw nonsense("it answered what was not asked");
        return undefined;
      case "continue":
        queue.proceed();
        return undefined;
      case "nonsense":
        // Who read the socket before may have swallowed the beginning of a line.
        if (responseCount === 1) return undefined;
        throw nonsense(`it sent "${text.slice(0, 80)}"`);
    }
  };
  const takeLines = (bytes: Buffer): number => {
    const taken = queue.inFlight[0]?.command.onLines?.(bytes) ?? 0;
    if (taken === 0) return 0;
    responseCount++;
    allowance.noteResponses(Math.ceil(taken / typicalLineBytes));
    return taken;
  };
  const reader = createResponseReader(
    {
      lines: takeLines,
      literal: (text, literals, sizeBytes) => literalSink(queue.inFlight, text, literals, sizeBytes),
      response: respond,
      onStreamed: (bytes) => allowance.noteStreamed(bytes),
    },
    { maxLineBytes: () => allowance.maxLineBytes },
  );

  const holdBack = async (wait: Promise<void>): Promise<void> => {
    socket.pause();
    isHeldBack = true;
    restartDeadline();
    try {
      await wait;
    } catch (error) {
      destroy(error);
    }
    isHeldBack = false;
    allowance.noteProgress();
    restartDeadline();
    if (!isClosed) socket.resume();
  };
  const bringsContent = (): boolean => queue.inFlight[0]?.command.onContent !== undefined;
  /** What has to be sent in pieces costs Dovecot dear: where there is little of it, or nobody waits for its end, seldom. */
  const bringsLittle = (): boolean => !allowance.isMuch && !bringsContent();
  /** Of small lines a whole chunk would take several turns. */
  const read = (chunk: Buffer): undefined | Promise<void> => {
    const startedAt = performance.now();
    const piece = bringsContent() ? chunk : chunk.subarray(0, pieceBytes);
    const taken = reader.push(piece);
    const isEnough = noteReading(performance.now() - startedAt, bringsLittle());
    const wait = taken ?? (isEnough ? breathe() : undefined);
    if (piece.length === chunk.length) return wait;
    const left = chunk.subarray(piece.length);
    return wait ? wait.then(() => (isClosed ? undefined : read(left))) : read(left);
  };
  const onData = (chunk: Buffer): void => {
    if (isClosed) return;
    heardAt = performance.now();
    try {
      noteIfIdle();
      allowance.noteBytes(chunk.length);
      const wait = read(chunk);
      if (wait) void holdBack(wait);
      else restartDeadline();
    } catch (error) {
      destroy(error);
    }
  };
  takeOver(socket, onData, (cause) =>
    destroy(new ServerFault("The old server closed the connection", cause)),
  );

  const run = async (command: ImapCommand): Promise<Tagged> => {
    if (isClosed) throw closeReason;
    const lasts = command.endedBy !== undefined;
    if (!lasts) askedAt = performance.now();
    const [sentAt, before] = [performance.now(), socket.bytesRead];
    noteIfIdle();
    const answering = queue.send(command);
    restartDeadline();
    const answer = await answering;
    if (!lasts) {
      askedAt = performance.now();
      // One that waits for news is not slow.
      connection.onAnswered?.(answer, performance.now() - sentAt, socket.bytesRead - before);
    }
    return answer;
  };
  const logout = async (): Promise<void> => {
    if (isClosed) return;
    const loggedOut = new MailError("UNAVAILABLE", "The connection to the old server is closed");
    const timer = setTimeout(() => destroy(loggedOut), logoutTimeoutMs);
    run({ parts: ["LOGOUT"], onUntagged: isBye }).then(() => destroy(loggedOut), destroy);
    await closed;
    clearTimeout(timer);
  };

  const connection: ImapConnection = {
    onAnswered: undefined,
    capabilities,
    quirks,
    get mostMessages() {
      return allowance.mostMessages;
    },
    get responseCount() {
      return responseCount;
    },
    get isClosed() {
      return isClosed;
    },
    get isBusy() {
      return !queue.isEmpty;
    },
    get isAsked() {
      return !queue.isEmpty && !queue.isLasting;
    },
    get heardAt() {
      return heardAt;
    },
    get askedAt() {
      return askedAt;
    },
    selected: undefined,
    onUnasked: undefined,
    withoutModSeqs: new Set(),
    shownValidity: (_, told) => told,
    namespaces: undefined,
    closed,
    run,
    endLasting() {
      noteIfIdle();
      queue.endLasting();
    },
    destroy,
    logout,
  };
  return connection;
}

/** The first command in flight that takes it has it; what nobody takes is unasked news. */
function offer(
  inFlight: readonly InFlight[],
  untagged: Untagged,
  onUnasked: ((untagged: Untagged) => void) | undefined,
): undefined | Promise<void> {
  for (const { command, tag } of inFlight) {
    const taken = command.onUntagged?.(untagged, tag);
    if (taken === true) return undefined;
    if (taken) return taken;
  }
  if (untagged.kind === "status" && untagged.status === "BYE") {
    throw new ServerFault(`The old server closed the connection: ${untagged.tail.text}`);
  }
  onUnasked?.(untagged);
  return undefined;
}

const discard: LiteralSink = { write: () => undefined, end: () => undefined };

/**
 * A whole message's bytes are streamed to whoever asked for that UID, or dropped. One whose UID comes
 * only after them is gathered, and handed over when the response is whole.
 */
function literalSink(
  inFlight: readonly InFlight[],
  text: string,
  literals: readonly Buffer[],
  sizeBytes: number,
): LiteralSink | undefined {
  const position = fetchPosition(text);
  if (position === undefined) return undefined;
  const { content, uid } = parseFetch(text, [...literals, streamedLiteral], position);
  if (content !== streamedLiteral || uid === undefined) return undefined;
  for (const { command } of inFlight) {
    const sink = command.onContent?.(uid, sizeBytes);
    if (sink) return sink;
  }
  return discard;
}

/** At the server's pace; `onProgress` tells that it is taking it. */
async function sendMessage(socket: Socket, message: MessageContent, onProgress: () => void): Promise<void> {
  for await (const bytes of piecesOf(message)) {
    if (socket.destroyed) throw new ServerFault("The old server closed the connection");
    if (!socket.write(bytes)) await drained(socket);
    onProgress();
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

function takeOver(socket: Socket, onData: (chunk: Buffer) => void, onLost: (cause?: unknown) => void): void {
  socket.on("data", onData);
  socket.on("error", onLost);
  socket.on("end", () => onLost());
  socket.on("close", () => onLost());
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  // It was paused when its former reader let go of it.
  socket.resume();
}

function isBye(untagged: Untagged): boolean {
  return untagged.kind === "status" && untagged.status === "BYE";
}

function silent(timeoutMs: number): MailError {
  return new ServerSilent(`The old server did not answer for ${timeoutMs / 1000} seconds`);
}

function nonsense(what: string): MailError {
  return new ServerFault(`The old server broke the protocol: ${what}`);
}
