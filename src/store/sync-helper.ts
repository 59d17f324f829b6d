/**
 * One small process that calls syncfs(2) for this one: Node cannot, and a process started for each call is a fork,
 * which stops this process for longer the bigger it has grown. Started while we are small, and never again: who asks
 * after it has ended is refused, and flushes file by file.
 *
 * It reads folders' names, one a line, and answers each with the exit code of `sync -f`, in their order. It ends when
 * its standard input does, and that is with us, however we end. A name is data to it, never code.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Logger } from "../log.ts";
import { errorCode } from "./store-errors.ts";

export interface SyncHelper {
  /**
   * What was written to the file system of `directory` is on stable storage when this resolves. Rejects where that
   * cannot be had.
   */
  sync(directory: string): Promise<void>;
  /** Resolves when it has ended. */
  close(): Promise<void>;
}

export interface SyncHelperOptions {
  readonly logger: Logger;
  /** Where `sync` is looked for. */
  readonly path?: string | undefined;
}

/** Signals for a whole group of processes, a terminal's or a service's, are ours to follow: it serves until we end. */
const script = `trap '' HUP INT TERM
while IFS= read -r directory; do
  sync -f -- "$directory" </dev/null >/dev/null 2>&1
  echo "$?"
done`;

/** Generous: a slow disk with much unwritten data takes its time, a hanging one must not hold us for ever. */
const syncTimeoutMs = 10 * 60_000;
/** For what is under way at the end; without it the helper ends at once. */
const closingMs = 3_000;

interface Asked {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** undefined where this system starts no processes for us. */
export function startSyncHelper(options: SyncHelperOptions): SyncHelper | undefined {
  const { logger, path = process.env["PATH"] } = options;
  try {
    const child = spawn("/bin/sh", ["-c", script], {
      // Bytes of names are bytes, whatever the locale.
      env: { ...(path !== undefined && { PATH: path }), LC_ALL: "C" },
      cwd: "/",
      stdio: ["pipe", "pipe", "ignore"],
      // A group of its own, which can be ended as a whole.
      detached: true,
    });
    return helperOf(child, logger);
  } catch (error) {
    logger.warn({ err: error }, withoutHelper);
    return undefined;
  }
}

const withoutHelper = "no helper for sync -f: what is flushed is flushed file by file";

function helperOf(child: ChildProcessByStdio<Writable, Readable, null>, logger: Logger): SyncHelper {
  const { stdin, stdout } = child;
  const asked: Asked[] = [];
  let failure: Error | undefined;
  let closing = false;
  let patience: NodeJS.Timeout | undefined;

  /** The process lives on for an answer, not for the helper. */
  const follow = (): void => {
    clearTimeout(patience);
    // A pipe of a child is a socket, which its type does not tell.
    for (const handle of [child, stdout as Socket]) {
      if (asked.length > 0) handle.ref();
      else handle.unref();
    }
    if (asked.length > 0) patience = setTimeout(() => end(new Error("sync -f does not end")), syncTimeoutMs);
  };
  const fail = (error: Error): void => {
    failure ??= error;
    for (const { reject } of asked.splice(0)) reject(failure);
    follow();
  };
  const end = (error: Error): void => {
    fail(error);
    killGroup(child);
  };
  const gone = new Promise<void>((ended) => {
    const isGone = (error: Error): void => {
      if (!closing) logger.warn({ err: error }, withoutHelper);
      fail(error);
      ended();
    };
    child.once("error", isGone);
    child.once("exit", (code, signal) => isGone(new Error(`the sync helper has ended (${signal ?? code})`)));
  });
  const answer = (code: string): void => {
    const first = asked.shift();
    follow();
    if (code === "0") first?.resolve();
    else first?.reject(new Error(`sync -f has ended with ${code}`));
  };
  let line = "";
  stdout.setEncoding("latin1").on("data", (text: string) => {
    const codes = (line + text).split("\n");
    line = codes.pop() ?? "";
    for (const code of codes) answer(code);
  });
  // That nobody reads any more shows in its exit.
  stdin.on("error", () => undefined);
  follow();

  return {
    async sync(directory) {
      const name = resolve(directory);
      if (name.includes("\n")) throw new Error("a name with a line feed cannot be told to the sync helper");
      if (failure) throw failure;
      if (closing) throw new Error("the sync helper is closed");
      return new Promise<void>((resolve, reject) => {
        asked.push({ resolve, reject });
        if (asked.length === 1) follow();
        stdin.write(`${name}\n`);
      });
    },
    async close() {
      closing = true;
      stdin.end();
      if (failure) return gone;
      child.ref();
      const last = setTimeout(() => end(new Error("the sync helper does not end")), closingMs);
      await gone;
      clearTimeout(last);
    },
  };
}

/** With the `sync` that it may be running. */
function killGroup({ pid }: { readonly pid?: number | undefined }): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It has just ended.
    if (errorCode(error) !== "ESRCH") throw error;
  }
}
