/**
 * Cleaning up when this process ends in whatever way, SIGKILL included: a shell waits on a pipe whose
 * other end is ours, and acts when it closes.
 */
import { spawn } from "node:child_process";

export interface Cleanup {
  /** It has been done, or is not wanted any more. */
  dismiss(): void;
}

/** Kills a process (a group: negative id; 0: none) and removes folders when this process ends. */
export function atProcessEnd(pid: number, folders: readonly string[] = []): Cleanup {
  const script = 'read _; [ "$0" = 0 ] || kill -KILL "$0"; [ $# = 0 ] || rm -rf "$@"';
  const shell = spawn("sh", ["-c", script, String(pid), ...folders], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.unref();
  // The pipe must not keep this process alive either.
  (shell.stdin as unknown as { unref(): void }).unref();
  shell.stdin.on("error", () => undefined);
  return { dismiss: () => void shell.kill("SIGKILL") };
}
