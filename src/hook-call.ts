/** One call of an operator's program or URL: what it is told goes in whole, of what it answers the first line is taken. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

export interface HookAnswer {
  readonly ok: boolean;
  /** `exit code 3`, `SIGSEGV`, `HTTP 503`. */
  readonly status: string;
  /** Without control characters; '' where it says nothing. */
  readonly firstLine: string;
}

/** What comes after is read away. */
const maxAnswerBytes = 4_096;
const maxLineChars = 300;
/** For what a program that has ended has written. */
const lastOutputMs = 500;

/** Rejects where it cannot be started. Without a shell; on `signal` it is ended, with all that it has started. */
export async function callProgram(
  [program = "", ...args]: readonly string[],
  body: string,
  signal: AbortSignal,
): Promise<HookAnswer> {
  // A group of its own, which can be ended as a whole.
  const child = spawn(program, args, { stdio: "pipe", detached: true });
  const kill = (): void => killGroup(child);
  signal.addEventListener("abort", kill, { once: true });
  const { stdin, stdout, stderr } = child;
  try {
    const ended = once(child, "exit");
    // One that does not read it is none the worse.
    stdin.on("error", () => undefined).end(body);
    const outputs = [readHead(stdout), readHead(stderr)];
    const [code, name] = (await ended) as [number | null, NodeJS.Signals | null];
    signal.throwIfAborted();
    await Promise.race([Promise.all(outputs.map(({ done }) => done)), delay(lastOutputMs)]);
    const lines = outputs.map(({ bytes }) => firstLineOf(bytes()));
    return {
      ok: code === 0,
      status: name ?? `exit code ${code}`,
      firstLine: lines.find((line) => line !== "") ?? "",
    };
  } finally {
    signal.removeEventListener("abort", kill);
    // What it has left behind in the background may hold them.
    for (const pipe of [stdin, stdout, stderr]) pipe.destroy();
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

function readHead(stream: NodeJS.ReadableStream): { bytes(): Buffer; readonly done: Promise<unknown> } {
  const pieces: Buffer[] = [];
  let missing = maxAnswerBytes;
  stream.on("data", (piece: Buffer) => {
    if (missing > 0) pieces.push(piece.subarray(0, missing));
    missing -= piece.length;
  });
  const done = new Promise((resolve) => stream.once("close", resolve));
  return { bytes: () => Buffer.concat(pieces), done };
}

/** Rejects where nobody answers. A redirection is no agreement. */
export async function callUrl(url: string, body: string, signal: AbortSignal): Promise<HookAnswer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    redirect: "manual",
    signal,
  });
  const pieces: Uint8Array[] = [];
  let missing = maxAnswerBytes;
  // Leaving the loop cancels the rest.
  for await (const piece of response.body ?? []) {
    pieces.push(piece.subarray(0, missing));
    missing -= piece.length;
    if (missing <= 0) break;
  }
  return {
    ok: response.ok,
    status: `HTTP ${response.status}`,
    firstLine: firstLineOf(Buffer.concat(pieces)),
  };
}

function firstLineOf(bytes: Buffer): string {
  const [line = ""] = bytes
    .toString("utf8")
    .trimStart()
    .split(/[\r\n]/, 1);
  return line
    .replace(/\p{Cc}/gu, " ")
    .trim()
    .slice(0, maxLineChars);
}
