/**
 * The control socket: how a command reaches the server that owns the data folder. One request per
 * connection, JSON lines both ways: `{"operation", "user", "password", …}` in; any number of
 * `{"progress": …}` and then one `{"result": …}` or `{"error": …}` out. The socket is the owner's alone
 * (mode 0600), and closing the connection ends the waiting, not the work that others share.
 */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, statSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { MailError, type ResponseCode } from "../errors.ts";
import { Secret } from "../mail/secret.ts";
import type { Operation, OperationRequest } from "./operations.ts";

/** sun_path holds 108 bytes with its NUL; a longer path is cut off by the kernel without a word. */
const maxSocketPath = 107;
const maxRequestBytes = 64 << 10;

/** `<dataDir>/control.sock`, or, where that is too long, a name derived from it in a folder of one's own. */
export function controlSocketPath(dataDir: string): string {
  const path = join(resolve(dataDir), "control.sock");
  if (Buffer.byteLength(path) <= maxSocketPath) return path;
  const digest = createHash("sha256").update(path).digest("hex").slice(0, 24);
  return join(tmpdir(), `mailferry-${process.getuid?.() ?? 0}-${digest}`, "control.sock");
}

export interface ControlServer {
  close(): Promise<void>;
}

export type RunOperation = (operation: Operation, request: OperationRequest) => Promise<unknown>;

/** Listens; the data folder's lock must be held, so that a socket file found there is a dead one's. */
export async function serveControl(dataDir: string, run: RunOperation): Promise<ControlServer> {
  const path = controlSocketPath(dataDir);
  prepareFolder(dataDir, path);
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    void answer(socket, run);
  });
  await listen(server, path);
  return {
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((done) => server.close(() => done()));
      const folder = dirname(path);
      if (folder !== resolve(dataDir)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

function prepareFolder(dataDir: string, path: string): void {
  const folder = dirname(path);
  if (folder === resolve(dataDir)) return;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(folder);
  // A folder in a place where all may write: it must be ours, and nobody else's to look into.
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0)
    throw new Error(`${folder} belongs to somebody else`);
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, failed) => {
    server.once("error", failed);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      done();
    });
  });
}

async function answer(socket: Socket, run: RunOperation): Promise<void> {
  const controller = new AbortController();
  socket.on("error", () => socket.destroy());
  socket.on("close", () => controller.abort(new Error("the asking command has ended")));
  const write = (message: unknown): void =>
    void (socket.writable && socket.write(`${JSON.stringify(message)}\n`));
  try {
    const { operation, user, password, samplePercent, decision } = parseRequest(await firstLine(socket));
    // Nothing more is expected, but only a socket that is read tells that the other side has gone.
    socket.resume();
    const result = await run(operation, {
      user,
      password: password === undefined ? undefined : new Secret(password),
      samplePercent,
      decision,
      signal: controller.signal,
      onProgress: (progress) => write({ progress }),
    });
    write({ result: result ?? null });
  } catch (error) {
    const { message } = error as Error;
    write({ error: { message, code: error instanceof MailError ? error.code : undefined } });
  }
  socket.end();
}

async function firstLine(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    text += chunk;
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
    if (text.length > maxRequestBytes) break;
  }
  throw new Error("not a control request");
}

interface ControlRequest {
  readonly operation: Operation;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly samplePercent: number | undefined;
  readonly decision: OperationRequest["decision"];
}

function parseRequest(line: string): ControlRequest {
  const request = JSON.parse(line) as Partial<ControlRequest>;
  if (typeof request.operation !== "string") throw new Error("not a control request");
  const { operation, user, password, samplePercent, decision } = request;
  return { operation, user, password, samplePercent, decision };
}

/** Runs an operation in the server that owns `dataDir`; undefined when none is listening. */
export async function callControl(
  dataDir: string,
  operation: Operation,
  request: OperationRequest,
): Promise<{ readonly result: unknown } | undefined> {
  const socket = await connectTo(controlSocketPath(dataDir));
  if (!socket) return undefined;
  const lines = createInterface({ input: socket });
  // A destroyed socket does not end the reading of lines by itself.
  const stop = (): void => {
    lines.close();
    socket.destroy();
  };
  socket.on("error", stop);
  request.signal.addEventListener("abort", stop, { once: true });
  try {
    const { user, samplePercent, decision } = request;
    const password = request.password?.reveal();
    socket.write(`${JSON.stringify({ operation, user, password, samplePercent, decision })}\n`);
    for await (const line of lines) {
      const message = JSON.parse(line) as {
        progress?: unknown;
        result?: unknown;
        error?: { message: string; code?: ResponseCode };
      };
      if (message.error) throw new MailError(message.error.code, message.error.message);
      if ("result" in message) return { result: message.result };
      request.onProgress(message.progress);
    }
    request.signal.throwIfAborted();
    throw new MailError("UNAVAILABLE", "the server ended before it answered");
  } finally {
    request.signal.removeEventListener("abort", stop);
    socket.destroy();
  }
}

function connectTo(path: string): Promise<Socket | undefined> {
  return new Promise((done, failed) => {
    const socket = connect(path);
    socket.once("connect", () => done(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") done(undefined);
      else failed(error);
    });
  });
}
